import {
  DataType,
  REBIRTH_METRIC,
  bdSeqMetric,
  loadPayloadType,
  type SparkplugPayload,
  type WireMetric,
} from './message.ts';

/** Fields of a reading; those that begin with `$` are no metrics, and nested ones have names with dots. */
type Reading = Readonly<Record<string, unknown>>;
type Value = number | string | boolean;

interface Written {
  readonly topic: string;
  readonly payload: Uint8Array;
}

const GROUP = 'fleet';
/** The device behind each edge node. */
const DEVICE = 'io';
/** One reading of so many is the device's, the others are the node's own. */
const DEVICE_EVERY = 10;

/**
 * What an edge node of Sparkplug B sends, with one device behind it (Eclipse Sparkplug 3.0.0, sections 5 and 6): births
 * that name every metric and give it an alias, then what has changed, by alias; `seq` counts all of it up to 255 and
 * starts over, and `bdSeq` pairs each connection's birth with its death. For simulated devices and tests.
 */
export class EdgeNodeWriter {
  readonly topic: string;
  readonly commands: string;
  readonly #node: string;
  readonly #type = loadPayloadType();
  #seq = 0;
  /** Of the present connection, or of the one that is about to be made. */
  #bdSeq = -1;
  #readings = 0;
  /** By source and name, from 1: unique among the node and its device. */
  readonly #aliases = new Map<string, number>();
  /** What was sent last, by alias. */
  readonly #values = new Map<number, Value>();

  constructor(node: string) {
    this.#node = node;
    this.topic = this.#topicOf('NDATA');
    this.commands = this.#topicOf('NCMD');
  }

  will(atMs: number): Written {
    this.#bdSeq = (this.#bdSeq + 1) % 256;
    return this.death(atMs);
  }

  /** Without `seq`: it may come at any time (section 6.4.25). */
  death(atMs: number): Written {
    return this.#write('NDEATH', { timestamp: BigInt(atMs), metrics: [bdSeqMetric(this.#bdSeq)] });
  }

  births(reading: Reading, atMs: number): Written[] {
    this.#seq = 0;
    this.#values.clear();
    const rebirth = { name: REBIRTH_METRIC, datatype: DataType.Boolean, boolean_value: false };
    const node = [bdSeqMetric(this.#bdSeq), rebirth, ...this.#born('', reading, atMs)];
    return [
      this.#write('NBIRTH', this.#next(node, atMs)),
      this.#write('DBIRTH', this.#next(this.#born(DEVICE, reading, atMs), atMs)),
    ];
  }

  reading(reading: Reading, atMs: number): Written {
    const isDevices = ++this.#readings % DEVICE_EVERY === 0;
    const metrics = this.#changed(isDevices ? DEVICE : '', reading, atMs);
    return this.#write(isDevices ? 'DDATA' : 'NDATA', this.#next(metrics, atMs));
  }

  asksForBirths(command: Uint8Array): boolean {
    const { metrics = [] } = this.#type.decode(command) as SparkplugPayload;
    return metrics.some((metric) => metric.name === REBIRTH_METRIC && metric.boolean_value === true);
  }

  #born(source: string, reading: Reading, atMs: number): WireMetric[] {
    return [...values(reading)].map(([name, value]) => ({
      name,
      datatype: datatypeOf(value),
      ...this.#metric(this.#alias(source, name), value, atMs),
    }));
  }

  /** Only what has changed since it was sent last; all of it if nothing has. */
  #changed(source: string, reading: Reading, atMs: number): WireMetric[] {
    const all = [...values(reading)].map(([name, value]) => ({ alias: this.#alias(source, name), value }));
    const changed = all.filter(({ alias, value }) => this.#values.get(alias) !== value);
    return (changed.length > 0 ? changed : all).map(({ alias, value }) => this.#metric(alias, value, atMs));
  }

  #metric(alias: number, value: Value, atMs: number): WireMetric {
    this.#values.set(alias, value);
    const common = { alias: BigInt(alias), timestamp: BigInt(atMs) };
    if (typeof value === 'number') return { ...common, double_value: value };
    return typeof value === 'string'
      ? { ...common, string_value: value }
      : { ...common, boolean_value: value };
  }

  #alias(source: string, name: string): number {
    const key = `${source}\0${name}`;
    const alias = this.#aliases.get(key) ?? this.#aliases.size + 1;
    this.#aliases.set(key, alias);
    return alias;
  }

  #next(metrics: readonly WireMetric[], atMs: number): SparkplugPayload {
    const seq = BigInt(this.#seq);
    this.#seq = (this.#seq + 1) % 256;
    return { timestamp: BigInt(atMs), seq, metrics };
  }

  #write(kind: string, payload: SparkplugPayload): Written {
    return { topic: this.#topicOf(kind), payload: this.#type.encode({ ...payload }) };
  }

  #topicOf(kind: string): string {
    const node = `spBv1.0/${GROUP}/${kind}/${this.#node}`;
    return kind.startsWith('D') ? `${node}/${DEVICE}` : node;
  }
}

function* values(reading: Reading, prefix = ''): Generator<[name: string, value: Value]> {
  for (const [name, value] of Object.entries(reading)) {
    if (name.startsWith('$')) continue;
    if (typeof value === 'object' && value !== null) yield* values(value as Reading, `${prefix}${name}.`);
    else yield [`${prefix}${name}`, value as Value];
  }
}

function datatypeOf(value: Value): number {
  if (typeof value === 'number') return DataType.Double;
  return typeof value === 'string' ? DataType.String : DataType.Boolean;
}
