import { EARLIEST_PLAUSIBLE_MS } from '../../core/clock.ts';
import type { TimeUnit, TimeWindow } from '../../core/profile/normaliser-spec.ts';
import { ValueKind, type FieldValues } from '../formats/field-values.ts';

/**
 * How far, by default, event time may lie from receipt to become the record's timestamp. Behind: retention would delete
 * an older record at once. Ahead: Kafka refuses the whole batch of a record that is more than an hour in the
 * future (KIP-1030).
 */
export const EVENT_TIME_WINDOW = { behindMs: 7 * 86_400_000, aheadMs: 30 * 60_000 } as const;

/**
 * Whether an event time may be the record's timestamp. NaN may not. While the gateway's own clock has not been set, a
 * device's that has been is better: retention would delete a record of 1970 at once.
 */
export function isWithinWindow(
  eventTimeMs: number,
  receivedAtMs: number,
  window: TimeWindow = EVENT_TIME_WINDOW,
): boolean {
  return (
    (eventTimeMs >= receivedAtMs - window.behindMs && eventTimeMs <= receivedAtMs + window.aheadMs) ||
    (receivedAtMs < EARLIEST_PLAUSIBLE_MS && eventTimeMs >= EARLIEST_PLAUSIBLE_MS)
  );
}

/**
 * The event time in a slot: whole milliseconds since 1970-01-01 UTC. NaN where there is none: absent, 0 (a
 * device that doesn't know the time), not finite, or beyond what a number holds exactly. `undefined`: the
 * slot holds something that is no number.
 */
export function readEventTime(values: FieldValues, slot: number, unit: TimeUnit): number | undefined {
  let value: number;
  switch (values.kind[slot]) {
    case ValueKind.Absent:
      return Number.NaN;
    case ValueKind.Double:
      value = values.double[slot] as number;
      break;
    case ValueKind.Int:
    case ValueKind.Uint:
      value = values.integerAsNumber(slot);
      break;
    default:
      return undefined;
  }
  const ms = inMilliseconds(value, unit);
  return value !== 0 && Number.isSafeInteger(ms) ? ms : Number.NaN;
}

function inMilliseconds(value: number, unit: TimeUnit): number {
  switch (unit) {
    case 's':
      // Rounded, because 1.001 * 1000 is 1000.9999999999999.
      return Math.round(value * 1_000);
    case 'ms':
      return Math.floor(value);
    case 'us':
      return Math.floor(value / 1_000);
    case 'ns':
      return Math.floor(value / 1_000_000);
  }
}
