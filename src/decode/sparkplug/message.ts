import { join, resolve } from 'node:path';
import { loadMessageType, type MessageType } from '../protobuf/message-type.ts';

/** The payload of a Sparkplug B message as protobuf gives it. */
export interface SparkplugPayload {
  readonly timestamp?: bigint;
  readonly seq?: bigint;
  readonly metrics?: readonly WireMetric[];
}

/** The schema that comes with Sluice; the same place seen from src/decode/sparkplug and from dist/decode/sparkplug. */
const SCHEMA = resolve(join(import.meta.dirname, '../../../proto/sparkplug_b.proto'));

export function loadPayloadType(): MessageType {
  return loadMessageType(SCHEMA, 'org.eclipse.tahu.protobuf.Payload');
}

/** The metric by which an edge node is asked for its births. */
export const REBIRTH_METRIC = 'Node Control/Rebirth';

/** The command that asks an edge node for its births (Eclipse Sparkplug 3.0.0, section 5.10). */
export function rebirthCommand(type: MessageType, wallMs: number): Uint8Array {
  const timestamp = BigInt(wallMs);
  return type.encode({
    timestamp,
    metrics: [{ name: REBIRTH_METRIC, timestamp, datatype: DataType.Boolean, boolean_value: true }],
  });
}

/** The metric that pairs a birth with a death, as it is written. */
export function bdSeqMetric(bdSeq: number): WireMetric {
  return { name: 'bdSeq', datatype: DataType.Int64, long_value: BigInt(bdSeq) };
}

/** Pairs a birth with a death: the metric `bdSeq` of both. */
export function bdSeqOf({ metrics = [] }: SparkplugPayload): bigint | undefined {
  const metric = metrics.find(({ name }) => name === 'bdSeq');
  if (metric?.long_value !== undefined) return metric.long_value;
  return metric?.int_value === undefined ? undefined : BigInt(metric.int_value);
}

/** STATE says whether a host is online: JSON since 3.0, before that a word. undefined: neither. */
export function parseState(
  payload: Buffer,
): { readonly online: boolean; readonly timestamp?: number } | undefined {
  const text = payload.toString('utf8').trim();
  if (text === 'ONLINE' || text === 'OFFLINE') return { online: text === 'ONLINE' };
  try {
    const { online, timestamp } = JSON.parse(text) as { online?: unknown; timestamp?: unknown };
    if (typeof online !== 'boolean') return undefined;
    return typeof timestamp === 'number' ? { online, timestamp } : { online };
  } catch {
    return undefined;
  }
}

/** A metric as protobuf gives it: 64-bit integers as bigint, what is not on the wire left out. */
export interface WireMetric {
  readonly name?: string;
  readonly alias?: bigint;
  readonly timestamp?: bigint;
  readonly datatype?: number;
  readonly is_historical?: boolean;
  readonly is_null?: boolean;
  readonly int_value?: number;
  readonly long_value?: bigint;
  readonly float_value?: number;
  readonly double_value?: number;
  readonly boolean_value?: boolean;
  readonly string_value?: string;
  readonly bytes_value?: Uint8Array;
  readonly dataset_value?: object;
  readonly template_value?: object;
}

/** The data types of Eclipse Sparkplug 3.0.0, section 6.4.16, as far as they change what a value means. */
export const DataType = {
  Int8: 1,
  Int16: 2,
  Int32: 3,
  Int64: 4,
  UInt8: 5,
  UInt16: 6,
  UInt32: 7,
  UInt64: 8,
  Float: 9,
  Double: 10,
  Boolean: 11,
  String: 12,
  DateTime: 13,
} as const;

export type SparkplugValue = number | bigint | boolean | string | Uint8Array;

/**
 * The value of a metric: integers as bigint, a DataSet or a Template as JSON, an array of any type as its bytes;
 * undefined for null. The data type comes from the metric itself or from its birth.
 */
export function metricValue(metric: WireMetric, datatype: number): SparkplugValue | undefined {
  if (metric.is_null === true) return undefined;
  if (metric.int_value !== undefined) return integer(BigInt(metric.int_value), datatype);
  if (metric.long_value !== undefined) return integer(metric.long_value, datatype);
  const structure = metric.dataset_value ?? metric.template_value;
  if (structure !== undefined) return toJson(structure);
  return (
    metric.float_value ??
    metric.double_value ??
    metric.boolean_value ??
    metric.string_value ??
    metric.bytes_value
  );
}

/**
 * Signed integers stand in unsigned fields in two's complement (section 6.4.17). Some edge nodes use the width of
 * the type, others 32 bits for the small ones: the lowest bits are the same.
 */
function integer(bits: bigint, datatype: number): SparkplugValue {
  switch (datatype) {
    case DataType.Int8:
      return BigInt.asIntN(8, bits);
    case DataType.Int16:
      return BigInt.asIntN(16, bits);
    case DataType.Int32:
      return BigInt.asIntN(32, bits);
    case DataType.Int64:
      return BigInt.asIntN(64, bits);
    case DataType.Float:
    case DataType.Double:
      return Number(bits);
    case DataType.Boolean:
      return bits !== 0n;
    default:
      return bits;
  }
}

/** Plain data as JSON: bytes in base64, integers beyond 2^53 as text. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return Number.isSafeInteger(Number(inner)) ? Number(inner) : String(inner);
    return inner instanceof Uint8Array ? Buffer.from(inner).toString('base64') : inner;
  });
}
