import { join, resolve } from 'node:path';
import { loadMessageType, type MessageType } from '../protobuf/protobuf.ts';
import { DataType, type WireMetric } from './metric-value.ts';

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
