import { gzipSync, deflateRawSync, deflateSync, zstdCompressSync } from 'node:zlib';
import type { DecoderSpec } from '../../core/profile/decoder-spec.ts';
import { writeCbor } from './cbor.ts';
import { writeCsv } from './csv.ts';
import { writeMsgpack } from './msgpack.ts';
import { loadMessageType, type PlainMessage } from '../protobuf/protobuf.ts';

export type PayloadWriter = (payload: PlainMessage) => Uint8Array;

/**
 * Writes payloads as a device would send them, for simulated devices and tests; undefined for formats that can
 * only be read here. Throws SchemaError for a schema that can't be used.
 */
export function payloadWriter(decode: DecoderSpec): PayloadWriter | undefined {
  const write = decode.framing === undefined ? formatWriter(decode) : undefined;
  const { compression } = decode;
  if (write === undefined || compression === undefined || compression === 'auto') return write;
  const compress = { gzip: gzipSync, zlib: deflateSync, deflate: deflateRawSync, zstd: zstdCompressSync }[
    compression
  ];
  return (payload) => compress(write(payload));
}

function formatWriter(decode: DecoderSpec): PayloadWriter | undefined {
  switch (decode.kind) {
    case 'json':
      return (payload) => Buffer.from(JSON.stringify(payload), 'utf8');
    case 'cbor':
      return (payload) => writeCbor(withIntegerKeys(payload));
    case 'msgpack':
      return writeMsgpack;
    case 'csv':
      return (payload) => writeCsv(decode, payload);
    case 'protobuf': {
      if (typeof decode.message !== 'string' || decode.delimited === true) return undefined;
      const type = loadMessageType(decode.file, decode.message);
      return (payload) => type.encode(payload);
    }
    default:
      return undefined;
  }
}

/** Devices that send CBOR name their fields by small integers, where a profile's paths are such numbers. */
function withIntegerKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value) || value instanceof Uint8Array) return value;
  const entries = Object.entries(value);
  const key = (name: string): string | number => (/^(0|[1-9]\d{0,8})$/.test(name) ? Number(name) : name);
  return new Map(entries.map(([name, inner]) => [key(name), withIntegerKeys(inner)]));
}
