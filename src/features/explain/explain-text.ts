import { hex, printable } from '../../cli/terminal/terminal-text.ts';
import { instantText } from '../../core/clock.ts';
import { CONTRACTS } from '../../core/contract.ts';
import type { Telemetry } from '../../decode/envelope/envelope.ts';
import type { Explanation, FateExplanation, RouteExplanation } from './explain.ts';
import { partitionOf, type PartitionCounts } from './partition-counts.ts';
import type { RehearsedRecord } from './rehearsal.ts';

/** An explanation for people. */
export function explanationText(explanation: Explanation, partitions: PartitionCounts): string {
  const { topic, message, routes } = explanation;
  const lines = [`topic    ${printable(topic)}`];
  if (message !== undefined) {
    const flags = `${message.retain ? ', retained' : ''}${message.dup ? ', DUP' : ''}`;
    const when = instantText(message.receivedAtMs);
    lines.push(
      `message  ${message.payload.length} bytes, QoS ${message.qos}${flags}, from client ${printable(message.clientId)}, received ${when}`,
    );
  }
  if (routes.length === 0) lines.push('', ...unroutedLines(explanation, partitions));
  for (const [index, route] of routes.entries()) {
    lines.push('', ...routeLines(route, index + 1, message !== undefined, partitions));
  }
  return `${lines.join('\n')}\n`;
}

function unroutedLines({ others, unrouted }: Explanation, partitions: PartitionCounts): string[] {
  const width = Math.max(0, ...others.map(({ pattern }) => pattern.length));
  return [
    'no profile matches',
    ...others.map(({ type, pattern, because }) => `  ${pattern.padEnd(width)}  ${type}: ${because}`),
    `unrouted: ${unrouted?.policy ?? ''}`,
    ...(unrouted?.fate === undefined ? [] : fateLines(unrouted.fate, partitions)),
  ];
}

function routeLines(
  route: RouteExplanation,
  place: number,
  performed: boolean,
  partitions: PartitionCounts,
): string[] {
  const { type, file, pattern, because, stoppedBy, contract, destination, deadLetterTopic, key } = route;
  const levels = Object.entries(route.levels).map(([name, text]) => `${name} = ${printable(text)}`);
  const lines = [
    `${place}. ${type}  (${file})`,
    `   pattern      ${pattern}${levels.length > 0 ? `: ${levels.join(', ')}` : ''}`,
  ];
  if (because !== undefined) lines.push(`   comes after  the one before: ${because}`);
  if (stoppedBy !== undefined) {
    lines.push(`   left out     because \`stop: true\` of ${stoppedBy} comes before it`);
    return lines;
  }
  lines.push(
    `   contract     ${contract}: the device is acknowledged when ${CONTRACTS[contract].acknowledgedWhen}`,
  );
  if (!performed) {
    lines.push(`   records      to ${destination}, key ${key ?? 'none'}; dead letters to ${deadLetterTopic}`);
    return lines;
  }
  if (route.notes.length > 0 || route.decoded !== undefined) {
    lines.push(`   decoded      ${route.notes.map(printable).join('; ')}`);
    lines.push(...treeLines(route.decoded ?? {}).map((line) => `     ${line}`));
  }
  if (route.fates.length === 0) lines.push('   becomes      nothing: it is understood, and no telemetry');
  for (const fate of route.fates) lines.push(...fateLines(fate, partitions));
  return lines;
}

const KINDS: Readonly<Record<FateExplanation['kind'], string>> = {
  record: 'a record',
  'dead-letter': 'a dead letter',
  filtered: 'nothing: its rules hold it back, and the device is acknowledged at once',
  refused: 'nothing: it is refused, and its connection closed',
  local: 'nothing for Kafka: it was for local subscribers',
  none: 'nothing: it is understood, and no telemetry',
};

function fateLines(fate: FateExplanation, partitions: PartitionCounts): string[] {
  const { kind, reading, reason, rules, telemetry, record } = fate;
  const width = Math.max(0, ...rules.map(({ rule }) => rule.length));
  const lines = [
    `   becomes      ${KINDS[kind]}${reading === undefined ? '' : `, of reading ${reading + 1}`}`,
    ...(reason === undefined ? [] : [`     because    ${reason.code}: ${printable(reason.message)}`]),
  ];
  if (rules.length > 0) lines.push('     rules');
  lines.push(...rules.map(({ rule, says }) => `       ${rule.padEnd(width)}  ${printable(says)}`));
  if (telemetry !== undefined) lines.push('     normalised', ...telemetryLines(telemetry));
  if (record !== undefined) lines.push(...recordLines(record, partitions));
  return lines;
}

/** An envelope, a line for each of its fields. */
function telemetryLines(telemetry: Telemetry): string[] {
  const { deviceId, attributes, metrics, missing = [], sequence, observedAtMs } = telemetry;
  const width = Math.max(0, ...metrics.map(({ name }) => name.length), ...missing.map((name) => name.length));
  const rows = [
    ['device', deviceId],
    ...[...attributes].map(([name, value]) => [name, value]),
    ...(observedAtMs === undefined ? [] : [['observed at', instantText(observedAtMs)]]),
    ...(sequence === undefined ? [] : [['sequence', String(sequence)]]),
  ].map(([name = '', value = '']) => `       ${printable(name)}: ${printable(value)}`);
  return [
    ...rows,
    ...metrics.map(({ name, value, unit, quality }) => {
      const suffix = `${unit === undefined ? '' : ` ${unit}`}${quality === undefined ? '' : `  (${quality})`}`;
      return `       ${name.padEnd(width)}  ${scalarText(value)}${suffix}`;
    }),
    ...missing.map((name) => `       ${name.padEnd(width)}  missing`),
  ];
}

function recordLines(record: RehearsedRecord, counts: PartitionCounts): string[] {
  const { topic, key, value, timestampMs, headers } = record;
  const { partition, of, by } = partitionOf(topic, key, counts);
  const where = partition === undefined ? `any of ${of}` : `${partition} of ${of}`;
  return [
    '     produced',
    `       topic      ${topic}, partition ${where}${by === 'kafka' ? '' : ' (as configured)'}`,
    `       key        ${key === null ? 'none' : printable(key.toString('utf8'))}`,
    `       timestamp  ${instantText(timestampMs)}`,
    ...headers.map(([name, text], index) => {
      return `       ${index === 0 ? 'headers   ' : '          '} ${name}: ${printable(text)}`;
    }),
    `       value      ${value?.length ?? 0} bytes`,
  ];
}

/** Lines of a tree that are shown; a payload may hold thousands of readings. */
const MAX_LINES = 200;
const MAX_DEPTH = 30;
const MAX_CHARACTERS = 120;

/** Plain values as indented lines, one a value: objects, maps, lists, text, numbers, bytes. */
function treeLines(value: unknown): string[] {
  const lines: string[] = [];
  write(value, '', 0, lines);
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `… and ${lines.length - MAX_LINES} more lines`];
}

function write(value: unknown, name: string, depth: number, lines: string[]): void {
  const indent = '  '.repeat(Math.max(0, depth - 1));
  const label = name === '' ? '' : `${name}: `;
  const members = membersOf(value);
  if (members === undefined || depth > MAX_DEPTH) {
    lines.push(`${indent}${label}${members === undefined ? scalarText(value) : '…'}`);
    return;
  }
  if (members.length === 0) {
    lines.push(`${indent}${label}${Array.isArray(value) ? '[]' : '{}'}`);
    return;
  }
  if (name !== '') lines.push(`${indent}${name}:`);
  for (const [key, inner] of members) write(inner, printable(key), depth + 1, lines);
}

/** undefined: it has none. */
function membersOf(value: unknown): [string, unknown][] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof Uint8Array || value instanceof Date) return undefined;
  if (value instanceof Map) return [...value].map(([key, inner]): [string, unknown] => [String(key), inner]);
  if (Array.isArray(value)) return value.map((inner, index): [string, unknown] => [`[${index}]`, inner]);
  return Object.entries(value).filter(([, inner]) => inner !== undefined);
}

/** A single value as it is shown: text in quotes, bytes in hexadecimal. */
function scalarText(value: unknown): string {
  if (value instanceof Uint8Array) {
    return `${value.length} bytes ${hex(value)}`.trimEnd();
  }
  if (value instanceof Date) return instantText(value.getTime());
  if (typeof value === 'string') {
    return value.length > MAX_CHARACTERS
      ? `${JSON.stringify(value.slice(0, MAX_CHARACTERS).toWellFormed())}… (${value.length} characters)`
      : JSON.stringify(value);
  }
  return String(value);
}
