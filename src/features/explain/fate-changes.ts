import { instantText } from '../../core/clock.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { MetricValue, Telemetry } from '../../decode/envelope/envelope.ts';
import { telemetryOf, type Fate, type RehearsedRecord } from './rehearsal.ts';

/** One thing that is not as it was about a message, as a person reads it. */
export interface Change {
  /** What it is about: `becomes`, `topic`, `key`, `metrics.speed`, `headers.mqtt.qos`. */
  readonly what: string;
  readonly from: string;
  readonly to: string;
}

/** A fate, and the profile of the configuration that it came by; undefined: there is none. */
interface Side {
  readonly fate: Fate | undefined;
  readonly profile: DeviceProfile | undefined;
}

/** What stands where a thing is not. */
const NOTHING = '(none)';

/** CloudEvents ids are drawn anew each time. */
const RANDOM_HEADERS: readonly string[] = ['ce_id'];
/** What a dead letter says in words is said already. */
const REASON_HEADERS: readonly string[] = ['error.code', 'error.message'];

/** Everything that differs between what becomes of a message now, and what would become of it. */
export function changesBetween(present: Side, next: Side): Change[] {
  const changes: Change[] = [];
  const compare = (what: string, from: string, to: string): void => {
    if (from !== to) changes.push({ what, from, to });
  };
  compare('becomes', kindText(present.fate), kindText(next.fate));
  if (present.fate === undefined || next.fate === undefined) return changes;
  compare('contract', present.profile?.ack.name ?? NOTHING, next.profile?.ack.name ?? NOTHING);
  if (changes[0]?.what !== 'becomes') {
    compare('reason', present.fate.reason?.message ?? NOTHING, next.fate.reason?.message ?? NOTHING);
  }
  const from = present.fate.record;
  const to = next.fate.record;
  if (from === undefined || to === undefined || present.fate.kind !== next.fate.kind) return changes;
  compare('topic', from.topic, to.topic);
  compare('key', bytesText(from.key), bytesText(to.key));
  compare('timestamp', instantText(from.timestampMs), instantText(to.timestampMs));
  compareMaps('headers.', headersOf(from), headersOf(to), compare);
  compareValues(present, next, compare);
  return changes;
}

type Compare = (what: string, from: string, to: string) => void;

/** A fate in a word or two; of a dead letter with its code. */
export function kindText(fate: Fate | undefined): string {
  if (fate === undefined) return 'nothing';
  return fate.kind === 'dead-letter' ? `a dead letter (${fate.reason?.code ?? ''})` : KINDS[fate.kind];
}

const KINDS = {
  record: 'a record',
  filtered: 'filtered',
  refused: 'refused',
  local: 'local only',
  none: 'no telemetry',
} as const;

function headersOf({ headers }: RehearsedRecord): Map<string, string> {
  return new Map(
    headers.filter(([name]) => !RANDOM_HEADERS.includes(name) && !REASON_HEADERS.includes(name)),
  );
}

function compareMaps(
  prefix: string,
  from: ReadonlyMap<string, string>,
  to: ReadonlyMap<string, string>,
  compare: Compare,
): void {
  for (const name of new Set([...from.keys(), ...to.keys()])) {
    compare(`${prefix}${name}`, from.get(name) ?? NOTHING, to.get(name) ?? NOTHING);
  }
}

function compareValues(present: Side, next: Side, compare: Compare): void {
  const from = present.fate?.record as RehearsedRecord;
  const to = next.fate?.record as RehearsedRecord;
  const subjects = [present, next].map(({ profile }) => profile?.produce.subject);
  const isSame = from.value !== null && to.value?.equals(from.value) === true;
  // Headers, with the content type, are compared already.
  if (isSame && subjects[0] === subjects[1]) return;
  const before = present.profile && telemetryOf(from, present.profile);
  const after = next.profile && telemetryOf(to, next.profile);
  if (before === undefined || after === undefined) {
    compare('value', valueText(from, before), valueText(to, after));
    return;
  }
  compare('subject', subjects[0] ?? NOTHING, subjects[1] ?? NOTHING);
  const fields = [before, after].map(fieldsOf) as [Map<string, string>, Map<string, string>];
  compareMaps('', ...fields, compare);
  const orders = fields.map((all) => [...all.keys()].join(', '));
  // The same, in another order.
  if (sameSet(...fields)) compare('order', orders[0] ?? '', orders[1] ?? '');
}

function sameSet(from: ReadonlyMap<string, string>, to: ReadonlyMap<string, string>): boolean {
  return from.size === to.size && [...from].every(([name, value]) => to.get(name) === value);
}

/** An envelope's fields by name, as text. */
function fieldsOf(telemetry: Telemetry): Map<string, string> {
  const { deviceId, deviceType, attributes, metrics, missing = [] } = telemetry;
  const { observedAtMs, receivedAtMs, sequence } = telemetry;
  return new Map([
    ['device', deviceId],
    ['type', deviceType],
    ...[...attributes].map(([name, value]): [string, string] => [`attributes.${name}`, value]),
    ...(observedAtMs === undefined ? [] : [['observed at', instantText(observedAtMs)] as [string, string]]),
    ['received at', instantText(receivedAtMs)],
    ...(sequence === undefined ? [] : [['sequence', String(sequence)] as [string, string]]),
    ...metrics.map(({ name, value, unit, quality }): [string, string] => [
      `metrics.${name}`,
      [metricText(value), unit ?? '', quality === undefined ? '' : `(${quality})`]
        .filter((part) => part !== '')
        .join(' '),
    ]),
    ...missing.map((name): [string, string] => [`metrics.${name}`, '(missing)']),
  ]);
}

function metricText(value: MetricValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return value instanceof Uint8Array ? bytesText(value) : String(value);
}

function valueText({ value }: RehearsedRecord, telemetry: Telemetry | undefined): string {
  return telemetry === undefined ? bytesText(value) : 'an envelope';
}

/** Text where it is text, else hexadecimal; all of it, so that it can be compared. */
function bytesText(bytes: Uint8Array | null): string {
  if (bytes === null) return NOTHING;
  const buffer = Buffer.from(bytes);
  const text = buffer.toString('utf8');
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  const isText = !/[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F\uFFFD]/.test(text);
  return isText ? text : `${buffer.length} bytes ${buffer.toString('hex')}`;
}
