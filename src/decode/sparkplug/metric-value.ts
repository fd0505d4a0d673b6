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
