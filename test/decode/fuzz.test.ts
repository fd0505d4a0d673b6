import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONTRACTS } from '../../src/core/contract.ts';
import type { DecoderSpec, MessageChoice } from '../../src/core/profile/decoder-spec.ts';
import { Outcome, type PublicationOrigin } from '../../src/core/publication.ts';
import type { DeviceProfile } from '../../src/core/profile/profile.ts';
import { decodeHeaders, NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import { loadMessageType } from '../../src/decode/protobuf/message-type.ts';
import { loadPayloadType } from '../../src/decode/sparkplug/message.ts';
import { readEnvelope } from '../../src/decode/envelope/envelope.ts';
import { compileProfile } from '../../src/decode/profile/compile-profile.ts';
import type { Delivery } from '../../src/delivery/delivery.ts';
import { balances } from '../../src/delivery/ledger/ledger.ts';
import type { RecordTarget } from '../../src/delivery/ports.ts';
import { newDelivery } from '../delivery/delivery-rig.ts';

const VECTORS = join(import.meta.dirname, 'vectors');
const READINGS = join(VECTORS, 'readings.proto');
const vectors = JSON.parse(readFileSync(join(VECTORS, 'vectors.json'), 'utf8')) as {
  readonly format: string;
  readonly payload: string;
  readonly wrap?: object;
}[];

const MAX_INFLATED_BYTES = 2_000;
/** What the envelope may be larger than what was read: its own fields, names and units. */
const ENVELOPE_BYTES = 2_000;

interface Format {
  readonly decode: DecoderSpec;
  readonly fields: readonly string[];
  /** Payloads that are understood, to begin with. */
  readonly sound: readonly Uint8Array[];
}

const ofVectors = (format: string): Buffer[] =>
  vectors
    .filter((vector) => vector.format === format && vector.wrap === undefined)
    .map(({ payload }) => Buffer.from(payload, 'hex'));
const json = Buffer.from('{"device":"d","temp":21.5,"list":[{"v":1},{"v":"x"},{"v":null}],"raw":true}');
const reading = loadMessageType(READINGS, 'vectors.Reading').encode({ temp: 1.5, count: -3, note: 'n' });
const batch = loadMessageType(READINGS, 'vectors.Batch').encode({ device: 'd', readings: [{ temp: 1 }] });
const framed = (...bytes: Uint8Array[]) => Buffer.concat([Buffer.of(0, 0, 0, 0, 7), ...bytes]);
const by = (choice: MessageChoice['by']): DecoderSpec => ({
  kind: 'protobuf',
  file: READINGS,
  message: {
    by: choice,
    messages: new Map([
      ['1', 'vectors.Reading'],
      ['2', 'vectors.Batch'],
    ]),
  },
});
const column = (name: string, type: 'number' | 'integer' | 'bool' | 'text') => ({ name, type });

const formats: Record<string, Format> = {
  json: { decode: { kind: 'json' }, fields: ['device', 'temp', 'list', 'raw'], sound: [json] },
  'json, a list of readings': { decode: { kind: 'json' }, fields: ['device', 'list[].v'], sound: [json] },
  cbor: { decode: { kind: 'cbor' }, fields: ['device', 'temp', 'raw'], sound: ofVectors('cbor') },
  msgpack: { decode: { kind: 'msgpack' }, fields: ['device', 'temp', 'raw'], sound: ofVectors('msgpack') },
  avro: {
    decode: { kind: 'avro', file: join(VECTORS, 'reading.avsc') },
    fields: ['device', 'temp', 'raw'],
    sound: ofVectors('avro'),
  },
  'thrift, binary': {
    decode: { kind: 'thrift', protocol: 'binary' },
    fields: ['1', '2', '3'],
    sound: ofVectors('thrift-binary'),
  },
  'thrift, compact': {
    decode: { kind: 'thrift', protocol: 'compact' },
    fields: ['1', '2', '3'],
    sound: ofVectors('thrift-compact'),
  },
  protobuf: {
    decode: { kind: 'protobuf', file: READINGS, message: 'vectors.Reading' },
    fields: ['temp', 'count', 'state', 'note'],
    sound: [reading],
  },
  'protobuf, many in one': {
    decode: { kind: 'protobuf', file: READINGS, message: 'vectors.Batch' },
    fields: ['device', 'readings[].temp'],
    sound: ofVectors('protobuf-batch'),
  },
  'protobuf, delimited': {
    decode: { kind: 'protobuf', file: READINGS, message: 'vectors.Reading', delimited: true },
    fields: ['temp', 'note'],
    sound: ofVectors('protobuf-delimited'),
  },
  'protobuf by its first byte': {
    decode: by({ kind: 'byte' }),
    fields: ['temp', 'device'],
    sound: [Buffer.concat([Buffer.of(1), reading]), Buffer.concat([Buffer.of(2), batch])],
  },
  'protobuf by a level of the topic': {
    decode: by({ level: 'device' }),
    fields: ['temp', 'device'],
    sound: [reading, batch],
  },
  csv: {
    decode: {
      kind: 'csv',
      separator: ';',
      headerLines: 1,
      columns: [column('at', 'integer'), column('on', 'bool'), column('v', 'number'), column('name', 'text')],
    },
    fields: ['at', 'on', 'v', 'name'],
    sound: [Buffer.from('at;on;v;name\n1;true;2.5;"a;""b"""\n2;;-3e5;c\n')],
  },
  text: {
    decode: {
      kind: 'text',
      pattern: '(?P<name>\\w+)=(?P<v>[-+0-9.e]+)( (?P<note>.*))?',
      types: new Map([['v', 'number']]),
      lines: true,
    },
    fields: ['name', 'v', 'note'],
    sound: [Buffer.from('a=1\nb=-2.5e3 läuft\n')],
  },
  'sparkplug b': {
    decode: { kind: 'sparkplug' },
    fields: ['$message', '$seq', 'temp', '$metrics'],
    sound: [
      loadPayloadType().encode({
        timestamp: 1n,
        seq: 0n,
        metrics: [{ name: 'temp', alias: 1n, datatype: 1, int_value: 5 }],
      }),
    ],
  },
};

const COMPRESS = {
  gzip: gzipSync,
  zlib: deflateSync,
  deflate: deflateRawSync,
  zstd: zstdCompressSync,
} as const;
const bomb = Buffer.alloc(100_000, '{"device":"d","temp":1}   ');
for (const [name, compress] of Object.entries(COMPRESS)) {
  const compression = name as keyof typeof COMPRESS;
  const sound = [json, bomb].map((bytes) => compress(bytes));
  const wrapping = { maxInflatedBytes: MAX_INFLATED_BYTES };
  const fields = ['device', 'temp'];
  formats[`json in ${name}`] = { decode: { kind: 'json', compression, ...wrapping }, fields, sound };
  formats[`json in ${name}, detected`] = {
    decode: { kind: 'json', compression: 'auto', ...wrapping },
    fields,
    sound,
  };
}
formats['json, framed'] = {
  decode: { kind: 'json', framing: 'confluent' },
  fields: ['temp'],
  sound: [framed(json)],
};
formats['protobuf, framed'] = {
  decode: { kind: 'protobuf', file: READINGS, message: 'vectors.Reading', framing: 'confluent' },
  fields: ['temp', 'note'],
  sound: [framed(Buffer.of(0), reading), framed(Buffer.of(2, 2), reading)],
};

function profileOf({ decode, fields }: Format, required?: 'reject'): DeviceProfile {
  return {
    file: 'fuzz.yaml',
    type: 'fuzz',
    topic: decode.kind === 'sparkplug' ? 'spBv1.0/#' : 'fuzz/{device}',
    decode,
    device: decode.kind === 'sparkplug' ? { field: '$source' } : { template: '{device}' },
    attributes: new Map(),
    metrics: new Map(fields.map((field) => [field, { field, ...(required && { required }) }])),
    produce: { topic: 'telemetry', value: 'normalised' },
    ack: CONTRACTS.kafka,
  };
}

/** The whole way of a payload, up to a Kafka that takes everything. */
class Way {
  readonly delivery: Delivery;
  readonly #topic: string;
  readonly records: { value: number; deadLetter: string | undefined }[] = [];
  readonly outcomes: Outcome[] = [];

  constructor(format: Format, required?: 'reject') {
    const result = compileProfile(profileOf(format, required));
    if ('faults' in result) throw new Error(JSON.stringify(result.faults));
    this.#topic = format.decode.kind === 'sparkplug' ? 'spBv1.0/g/NBIRTH/n' : 'fuzz/1';
    const route = result.compiled.bind(new Map([['device', '1']]), this.#topic);
    this.delivery = newDelivery({
      resolve: () => [route],
      records: {
        tryAppend: (record, target, token) => {
          this.#take(record, target, token);
        },
      },
    });
  }

  /** Everything that was sent for the payload. */
  send(payload: Buffer): void {
    this.records.length = 0;
    this.outcomes.length = 0;
    const origin: PublicationOrigin = {
      complete: (_, outcome) => this.outcomes.push(outcome),
      resume: () => undefined,
    };
    const taken = this.delivery.accept(
      {
        topic: { name: this.#topic, id: 0 },
        payload,
        qos: 1,
        retain: false,
        dup: false,
        packetId: 1,
        clientId: 'c',
        receivedAtMs: 1_767_225_600_000,
      },
      origin,
      1,
    );
    expect(taken).toBe(true);
  }

  #take({ topic, value, headers }: SerializedRecord, target: RecordTarget, token: number): undefined {
    const isLetter = topic.endsWith('.dlq');
    const code = decodeHeaders(headers).find(({ key }) => key === 'error.code')?.value;
    this.records.push({
      value: value?.length ?? 0,
      deadLetter: isLetter ? Buffer.from(code ?? []).toString() : undefined,
    });
    if (!isLetter) expect(readEnvelope(value!).deviceType).toBe('fuzz');
    const record = () => ({ key: null, value: null, timestampMs: 0, headers: NO_HEADERS });
    target.recordCompleted(token, { error: undefined, topic, record }, 0);
    return undefined;
  }
}

/** A sound payload with bytes changed, lost, put in, doubled or put behind each other; or any bytes. */
function payloads(sound: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const change = fc.record({
    kind: fc.constantFrom('flip', 'cut', 'insert', 'double', 'append'),
    at: fc.nat(),
    byte: fc.integer({ min: 0, max: 255 }),
    length: fc.integer({ min: 1, max: 40 }),
  });
  const mutated = fc
    .tuple(fc.constantFrom(...sound), fc.array(change, { maxLength: 4 }))
    .map(([start, changes]) => {
      let bytes = Buffer.from(start);
      for (const { kind, at, byte, length } of changes) {
        const place = at % (bytes.length + 1);
        const [head, tail] = [bytes.subarray(0, place), bytes.subarray(place)];
        if (kind === 'flip') bytes = Buffer.concat([head, Buffer.of(byte), tail.subarray(1)]);
        else if (kind === 'cut') bytes = Buffer.concat([head, tail.subarray(length)]);
        else if (kind === 'insert') bytes = Buffer.concat([head, Buffer.of(byte), tail]);
        else if (kind === 'double') bytes = Buffer.concat([head, tail.subarray(0, length), tail]);
        else bytes = Buffer.concat([bytes, start]);
      }
      return bytes;
    });
  const random = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  return fc.oneof({ weight: 4, arbitrary: mutated }, { weight: 1, arbitrary: random });
}

describe.each(Object.entries(formats))('%s: whatever a device sends', (_, format) => {
  test('becomes telemetry or a dead letter with a reason, within bounds, and the device is told once', () => {
    const way = new Way(format);
    for (const payload of format.sound.slice(0, 3)) way.send(Buffer.from(payload));
    let letters = 0;
    fc.assert(
      fc.property(payloads(format.sound), (payload) => {
        const before = Buffer.from(payload);
        way.send(payload);
        expect(payload).toEqual(before);
        expect(way.outcomes).toHaveLength(1);
        expect(way.outcomes[0]).not.toBe(Outcome.Refused);
        const bound = Math.max(payload.length, MAX_INFLATED_BYTES) * 8 + ENVELOPE_BYTES;
        for (const { value, deadLetter } of way.records) {
          expect(value).toBeLessThan(bound);
          if (deadLetter === undefined) continue;
          letters++;
          // DECODER_ERROR would be a fault of ours.
          expect(deadLetter).toMatch(/^(?!DECODER_ERROR)[A-Z]+(_[A-Z]+)+$/);
        }
      }),
      { numRuns: 300 },
    );
    expect(letters).toBeGreaterThan(0);
    const total = way.delivery.ledger.total();
    expect([balances(total), total.open]).toEqual([true, 0]);
  });
});

test('readings too deep to be written alone stay whole in their dead letters', () => {
  const payload = Buffer.from(`{"list":[${'['.repeat(50_000)}${']'.repeat(50_000)},{"v":3}]}`);
  const way = new Way({ decode: { kind: 'json' }, fields: ['list[].v'], sound: [] }, 'reject');
  way.send(payload);
  expect(way.outcomes).toHaveLength(1);
  expect(way.records.at(-1)).toEqual({ deadLetter: 'METRIC_MISSING', value: payload.length });
});
