import { placeText, type DeadLetter } from './dead-letter.ts';
import type { FoundLetter } from './letters.ts';
import { rangesText } from './ranges.ts';
import { printable, table } from '../../cli/terminal/terminal-text.ts';
import { instantText } from '../../core/clock.ts';
import { textOf } from '../tail/tail-record.ts';

const BYTES_PER_LINE = 16;
const MOST_BYTES_SHOWN = 4_096;

/** One row of a table of dead letters. */
export function letterRow({ letter, handling: { state } }: FoundLetter): string[] {
  const { type = '-', code, reason, mqttTopic, receivedAtMs } = letter;
  return [
    placeText(letter),
    instantText(receivedAtMs),
    state,
    printable(type),
    printable(mqttTopic === '' ? '-' : mqttTopic),
    `${printable(code)}: ${printable(reason)}`,
  ];
}

export const LETTER_COLUMNS = ['place', 'received', 'state', 'type', 'MQTT topic', 'reason'];

/** What programs get to know of a dead letter; bytes are base64. */
export function letterJson(found: FoundLetter, details: object = {}): object {
  const { letter, handling } = found;
  const { topic, partition, offset, timestampMs, key, value, headers, record, ...said } = letter;
  return {
    place: placeText(letter),
    topic,
    partition,
    offset,
    state: handling.state,
    timestamp: timestampMs,
    ...said,
    ...(record !== undefined && { record }),
    ...details,
    headers: Object.fromEntries(
      headers.map((header) => [header.key, header.value && Buffer.from(header.value).toString('utf8')]),
    ),
    key: key?.toString('base64') ?? null,
    value: value?.toString('base64') ?? null,
  };
}

/** A dead letter on as many lines as it takes. */
export function letterText({ letter, handling }: FoundLetter): string {
  const { state, failures, dropped } = handling;
  const lines = [
    ['place', placeText(letter)],
    ['state', state + (dropped === undefined ? '' : ` (${printable(dropped.reason)})`)],
    ['received', instantText(letter.receivedAtMs)],
    ['reason', `${printable(letter.code)}: ${printable(letter.reason)}`],
    ['type', printable(letter.type ?? '(no profile matched)')],
    ['route', printable(letter.route ?? '-')],
    ['MQTT topic', printable(letter.mqttTopic)],
    ['client id', printable(letter.clientId)],
    ['QoS', `${letter.qos}${letter.retain ? ', retained' : ''}`],
    ['attempts', String(letter.attempt + failures)],
  ];
  const { readings, record } = letter;
  if (readings !== undefined)
    lines.push(['readings', `number ${rangesText(readings)} of the payload, from 0`]);
  const target = printable(record?.topic ?? '(unknown topic)');
  if (record !== undefined) lines.push(['holds', `the finished record for ${target}`]);
  lines.push(['headers', '']);
  const headers = letter.headers.map(
    ({ key, value }) => `  ${printable(key)}: ${value === null ? '(null)' : headerText(value)}\n`,
  );
  return `${table(lines)}${headers.join('')}${valueText(letter)}`;
}

function headerText(value: Uint8Array): string {
  return printable(textOf(value) ?? Buffer.from(value).toString('hex'));
}

function valueText({ value }: DeadLetter): string {
  if (value === null) return 'no value\n';
  const shown = value.subarray(0, MOST_BYTES_SHOWN);
  const more =
    value.length > shown.length ? `  … ${value.length - shown.length} bytes more (--json has all)\n` : '';
  const text = textOf(shown);
  const readable = text === undefined ? '' : `text\n  ${printable(text)}\n`;
  return `${readable}${value.length} bytes\n${hexDump(shown)}${more}`;
}

function hexDump(bytes: Buffer): string {
  let dump = '';
  for (let start = 0; start < bytes.length; start += BYTES_PER_LINE) {
    const line = bytes.subarray(start, start + BYTES_PER_LINE);
    const hex = Array.from(line, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const ascii = line.toString('latin1').replaceAll(/[^\x20-\x7e]/g, '.');
    dump += `  ${start.toString(16).padStart(8, '0')}  ${hex.padEnd(3 * BYTES_PER_LINE)} ${ascii}\n`;
  }
  return dump;
}
