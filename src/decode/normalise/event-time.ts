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
  if (!values.isNumber(slot)) return values.kind[slot] === ValueKind.Absent ? Number.NaN : undefined;
  const value = values.numberAt(slot);
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

/** Reads times from text: whole milliseconds since 1970-01-01 UTC; NaN for what is none. */
export interface TimeFormat {
  parse(text: string): number;
}

const ISO_8601 =
  /^(?<y>\d{4})-(?<M>\d\d)-(?<d>\d\d)(?:[Tt ](?<H>\d\d):(?<m>\d\d)(?::(?<s>\d\d)(?:[.,](?<S>\d{1,9}))?)?(?<Z>[Zz]|[+-]\d\d(?::?\d\d)?)?)?$/;

const TOKENS: ReadonlyMap<string, string> = new Map([
  ['yyyy', '(?<y>\\d{4})'],
  ['MM', '(?<M>\\d\\d)'],
  ['dd', '(?<d>\\d\\d)'],
  ['HH', '(?<H>\\d\\d)'],
  ['mm', '(?<m>\\d\\d)'],
  ['ss', '(?<s>\\d\\d)'],
  ['S', '(?<S>\\d{1,9})'],
  ['Z', '(?<Z>[Zz]|[+-]\\d\\d(?::?\\d\\d)?)'],
  ['T', 'T'],
]);

/**
 * `iso8601` (RFC 3339, with seconds and offset optional), or a pattern of yyyy MM dd HH mm ss, S (a fraction of
 * the second) and Z (an offset), each once at most, with other characters between them.
 * @param zoneMinutes offset from UTC of texts that don't say theirs
 */
export function compileTimeFormat(
  format: string,
  zoneMinutes: number,
): { readonly format: TimeFormat } | { readonly problem: string } {
  if (format === 'iso8601') return { format: timeFormat(ISO_8601, zoneMinutes) };
  const parts = format.match(/yyyy|MM|dd|HH|mm|ss|S+|[A-Za-z]|[^A-Za-z]+/g) ?? [];
  const seen = new Set<string>();
  let source = '';
  for (const part of parts) {
    const token = part.startsWith('S') ? 'S' : part;
    const known = TOKENS.get(token);
    if (known === undefined && /^[A-Za-z]/.test(part)) {
      return { problem: `iso8601, or a pattern of yyyy MM dd HH mm ss S Z, in which \`${part}\` is nothing` };
    }
    if (known !== undefined && token !== 'T' && seen.has(token)) return { problem: `\`${part}\` only once` };
    seen.add(token);
    source += known ?? part.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  }
  const lacking = ['yyyy', 'MM', 'dd'].filter((token) => !seen.has(token));
  if (lacking.length > 0) return { problem: `a pattern with ${lacking.join(', ')} in it, or iso8601` };
  return { format: timeFormat(new RegExp(`^${source}$`), zoneMinutes) };
}

function timeFormat(pattern: RegExp, zoneMinutes: number): TimeFormat {
  return {
    parse(text) {
      const groups = pattern.exec(text)?.groups;
      return groups === undefined ? Number.NaN : toMilliseconds(groups, zoneMinutes);
    },
  };
}

function toMilliseconds(groups: Readonly<Record<string, string | undefined>>, zoneMinutes: number): number {
  const part = (name: string, absent = 0): number => Number(groups[name] ?? absent);
  const [year, month, day] = [part('y'), part('M'), part('d')];
  const [hour, minute, second] = [part('H'), part('m'), part('s')];
  const ms = Math.floor(Number(`0.${groups.S ?? '0'}`) * 1_000);
  const date = new Date(0);
  // Not Date.UTC, for which the year 26 is 1926.
  date.setUTCFullYear(year, month - 1, day);
  const isDate =
    date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  // A leap second is the first of the next minute.
  if (!isDate || hour > 23 || minute > 59 || second > 60) return Number.NaN;
  const offset = offsetMinutes(groups.Z, zoneMinutes);
  return date.getTime() + ((hour * 60 + minute - offset) * 60 + second) * 1_000 + ms;
}

function offsetMinutes(text: string | undefined, absent: number): number {
  if (text === undefined) return absent;
  if (text === 'Z' || text === 'z') return 0;
  const minutes = Number(text.slice(1, 3)) * 60 + Number(text.slice(3).replace(':', ''));
  return text.startsWith('-') ? -minutes : minutes;
}
