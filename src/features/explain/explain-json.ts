import { instantText } from '../../core/clock.ts';
import type { Explanation, FateExplanation } from './explain.ts';
import type { Telemetry } from '../../decode/envelope/envelope.ts';
import { partitionOf, type PartitionCounts } from './partition-counts.ts';

/** An explanation as one JSON object. Integers beyond 2^53 are text, bytes base64, times ISO 8601. */
export function explanationJson(explanation: Explanation, partitions: PartitionCounts): string {
  const { topic, message, routes, others, unrouted } = explanation;
  const document = {
    topic,
    ...(message && {
      message: {
        bytes: message.payload.length,
        qos: message.qos,
        retain: message.retain,
        dup: message.dup,
        clientId: message.clientId,
        receivedAt: instantText(message.receivedAtMs),
      },
    }),
    routes: routes.map(({ fates, ...route }) => ({
      ...route,
      becomes: fates.map((fate) => fateOf(fate, partitions)),
    })),
    ...(unrouted && {
      others,
      unrouted: { policy: unrouted.policy, becomes: unrouted.fate && fateOf(unrouted.fate, partitions) },
    }),
  };
  return `${JSON.stringify(document, plain, 2)}\n`;
}

function fateOf(
  { kind, reading, reason, rules, telemetry, record }: FateExplanation,
  counts: PartitionCounts,
) {
  return {
    kind,
    reading,
    reason,
    rules,
    telemetry: telemetry && telemetryObject(telemetry),
    record: record && {
      topic: record.topic,
      key: record.key?.toString('utf8') ?? null,
      ...partitionOf(record.topic, record.key, counts),
      timestamp: instantText(record.timestampMs),
      headers: Object.fromEntries(record.headers),
      value: record.value,
    },
  };
}

/** Metrics by their names. */
function telemetryObject({ metrics, observedAtMs, receivedAtMs, ...rest }: Telemetry): object {
  return {
    ...rest,
    observedAt: observedAtMs === undefined ? undefined : instantText(observedAtMs),
    receivedAt: instantText(receivedAtMs),
    metrics: Object.fromEntries(metrics.map(({ name, ...metric }) => [name, metric])),
  };
}

function plain(this: unknown, key: string, value: unknown): unknown {
  // JSON.stringify asks a Buffer for its toJSON first.
  const owned = (this as Readonly<Record<string, unknown>>)[key];
  if (owned instanceof Uint8Array) return Buffer.from(owned).toString('base64');
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return value instanceof Map ? Object.fromEntries(value as Map<unknown, unknown>) : value;
}
