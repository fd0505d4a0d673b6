import { styleText } from 'node:util';
import type { MetricValue, Telemetry, TelemetryMetric } from '../../decode/envelope/envelope.ts';
import { textOf, type RecordContent, type TailedRecord } from './tail-record.ts';
import { hex, printable } from '../../cli/terminal/terminal-text.ts';

type Style = Parameters<typeof styleText>[0];

export interface TailLinesOptions {
  readonly colours: boolean;
  /** Shows each record's topic: worth its room only when there are several. */
  readonly showTopic: boolean;
  /** Today, for leaving out the date; the wall clock's milliseconds since 1970. */
  readonly nowMs: () => number;
}

/** No column grows wider than this for a single long name. */
const WIDEST_COLUMN = 40;
const MOST_CHARACTERS_SHOWN = 160;

/** UCUM codes that people know better by another sign. */
const FAMILIAR_UNITS: Readonly<Record<string, string>> = {
  Cel: '°C',
  '[degF]': '°F',
  '[ppm]': 'ppm',
  deg: '°',
  'kW.h': 'kWh',
  'W.h': 'Wh',
  um: 'µm',
  us: 'µs',
};

/** Writes records as lines for people: columns stay aligned as far as what was seen before lets them. */
export class TailLines {
  readonly #options: TailLinesOptions;
  /** Widest text of each column so far; metrics have a column each for every device type. */
  readonly #widths = new Map<string, number>();

  constructor(options: TailLinesOptions) {
    this.#options = options;
  }

  /** One line, with its newline. */
  line(record: TailedRecord, content: RecordContent): string {
    const parts = [this.#style('dim', this.#time(record.timestampMs))];
    if (this.#options.showTopic) parts.push(this.#style('dim', this.#column('topic', record.topic)));
    parts.push(...this.#describe(record, content));
    return `${parts.join('  ').trimEnd()}\n`;
  }

  #describe(record: TailedRecord, content: RecordContent): string[] {
    switch (content.kind) {
      case 'telemetry':
        return this.#telemetry(content.telemetry);
      case 'dead-letter': {
        const [what, device] = [this.#style('red', 'dead letter'), this.#device(content.mqttTopic)];
        const why = this.#style('red', `${content.code}: ${printable(content.reason)}`);
        return [what, device, why, this.#style('dim', excerpt(record.value))];
      }
      case 'text':
        return [this.#keyed(record), excerpt(record.value)];
      case 'bytes': {
        const note = content.note === undefined ? '' : this.#style('red', content.note);
        return [this.#keyed(record), excerpt(record.value), note];
      }
      case 'tombstone':
        return [this.#keyed(record), this.#style('dim', 'no value (tombstone)')];
    }
  }

  #telemetry({ deviceId, deviceType, sequence, attributes, metrics }: Telemetry): string[] {
    const number = sequence === undefined ? '' : `#${sequence}`;
    const extra = [...attributes].map(([name, value]) => `${printable(name)}=${printable(value)}`);
    return [
      this.#device(deviceId),
      this.#style('dim', this.#column('type', deviceType)),
      this.#style('dim', this.#column('sequence', number)),
      ...metrics.map((metric) => this.#metric(deviceType, metric)),
      this.#style('dim', extra.join(' ')),
    ];
  }

  #metric(deviceType: string, { name, value, unit }: TelemetryMetric): string {
    const shownUnit = unit === undefined ? '' : ` ${FAMILIAR_UNITS[unit] ?? printable(unit)}`;
    const reading = this.#column(`${deviceType}/${name}`, `${readable(value)}${shownUnit}`);
    return `${this.#style('dim', printable(name))} ${reading}`;
  }

  #device(id: string): string {
    return this.#style('bold', this.#column('device', id));
  }

  #keyed({ key }: TailedRecord): string {
    return this.#device(key === null ? '-' : (textOf(key) ?? hex(key)));
  }

  #column(name: string, text: string): string {
    const shown = printable(text);
    const width = Math.min(WIDEST_COLUMN, Math.max(this.#widths.get(name) ?? 0, shown.length));
    this.#widths.set(name, width);
    return shown.padEnd(width);
  }

  /** Local time; with the date unless it is today. */
  #time(ms: number): string {
    const at = new Date(ms);
    const pad = (value: number, digits = 2): string => String(value).padStart(digits, '0');
    const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map((value) => pad(value)).join(':');
    const clock = `${time}.${pad(at.getMilliseconds(), 3)}`;
    if (at.toDateString() === new Date(this.#options.nowMs()).toDateString()) return clock;
    return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock}`;
  }

  #style(style: Style, text: string): string {
    return this.#options.colours && text !== '' ? styleText(style, text, { validateStream: false }) : text;
  }
}

function readable(value: MetricValue): string {
  if (typeof value === 'number') return String(withoutRoundingDigits(value));
  return typeof value === 'object' ? hex(value) : printable(String(value));
}

/** A 32-bit float read as a double, and a sum of doubles, end in digits that no device ever measured. */
function withoutRoundingDigits(value: number): number {
  if (Number.isInteger(value)) return value;
  return Number(value.toPrecision(Math.fround(value) === value ? 7 : 12));
}

function excerpt(value: Uint8Array | null): string {
  if (value === null) return 'no value';
  const text = textOf(value);
  if (text === undefined) return `${value.length} bytes ${hex(value)}`;
  const shown = printable(text);
  return shown.length > MOST_CHARACTERS_SHOWN ? `${shown.slice(0, MOST_CHARACTERS_SHOWN - 1)}…` : shown;
}
