import { systemClock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { DecodeFault } from '../../core/route.ts';
import type { FieldValues } from '../formats/field-values.ts';
import { problemsOf, type PayloadFormat } from '../formats/payload-format.ts';
import {
  decodeFailed,
  PAYLOAD_EMPTY,
  type BoundTopic,
  type FieldInfo,
  type FieldType,
  type Inspection,
  type PayloadReader,
  type ReadingBatch,
} from '../formats/payload-reader.ts';
import { PlainValues } from '../formats/tree-reader.ts';
import type { MessageType } from '../protobuf/message-type.ts';
import {
  EdgeNodes,
  parseSparkplugTopic,
  type BornMetric,
  type EdgeNode,
  type SparkplugTopic,
} from './edge-nodes.ts';
import {
  bdSeqOf,
  loadPayloadType,
  metricValue,
  parseState,
  rebirthCommand,
  toJson,
  type SparkplugPayload,
  type SparkplugValue,
  type WireMetric,
} from './message.ts';

/** A field that a profile may name besides metrics. */
interface OwnField {
  readonly type: FieldType;
  readonly of: (message: Understood) => SparkplugValue | undefined;
}

/** `$source` is `<edge node>` or `<edge node>/<device>`, or the host of a STATE. */
const OWN_FIELDS: Readonly<Record<string, OwnField>> = {
  $source: { type: 'string', of: ({ topic }) => topic.source },
  /** NBIRTH, DDATA, ... */
  $message: { type: 'string', of: ({ topic }) => topic.kind },
  $group: { type: 'string', of: ({ topic }) => topic.group || undefined },
  $node: { type: 'string', of: ({ topic }) => topic.node || undefined },
  $device: { type: 'string', of: ({ topic }) => topic.device || undefined },
  /** False in a death, true in a birth, as said in a STATE. */
  $online: { type: 'bool', of: ({ online }) => online },
  /** The message's, in milliseconds. */
  $timestamp: { type: 'integer', of: ({ payload }) => payload.timestamp },
  $seq: { type: 'integer', of: ({ payload }) => payload.seq },
  $bdSeq: { type: 'integer', of: ({ payload }) => bdSeqOf(payload) },
  /** All metrics as JSON, those that no field names too. */
  $metrics: { type: 'string', of: ({ metrics }) => toJson(metrics) },
};

/** Any name may be a metric's; those that begin with `$` are ours. */
export const sparkplug: PayloadFormat<unknown> = {
  reader(_spec, { fields, services = {}, edgeNodes }) {
    const own = Object.keys(OWN_FIELDS);
    const problems = problemsOf(fields, (field) =>
      field.startsWith('$') && !own.includes(field)
        ? `a metric's name, or one of ${own.join(', ')}`
        : undefined,
    );
    if (problems.length > 0) return { problems };
    const type = loadPayloadType();
    const { commands, clock = systemClock } = services;
    const askForBirth = (group: string, node: string): void => {
      commands?.publish(`spBv1.0/${group}/NCMD/${node}`, rebirthCommand(type, clock.wallMs()));
    };
    const nodes = edgeNodes ?? new EdgeNodes(askForBirth, () => clock.monotonicMs());
    return { reader: new SparkplugReader(fields, type, nodes), edgeNodes: nodes };
  },
};

/** What of a metric goes into `$metrics`. */
interface NamedMetric {
  readonly name: string;
  readonly value: SparkplugValue | null;
  readonly datatype: number;
  readonly timestamp: bigint | undefined;
  readonly historical: true | undefined;
}

/** A message, understood. */
interface Understood {
  readonly topic: SparkplugTopic;
  readonly payload: SparkplugPayload;
  readonly metrics: readonly NamedMetric[];
  /** undefined: it says nothing of that. */
  readonly online: boolean | undefined;
}

const NO_READING = 0;
const ONE_READING = 1;

/**
 * Reads Sparkplug B (Eclipse Sparkplug 3.0.0). Metrics of data messages may have an alias in place of a name, and
 * none says its data type: both stand in the birth before, which {@link EdgeNodes} remembers. A message that needs a
 * birth that was not seen becomes a dead letter, and its edge node is asked for a new birth.
 *
 * Commands are for edge nodes, and a death that belongs to an older connection says nothing: these are no records.
 */
class SparkplugReader implements PayloadReader {
  readonly contentType = 'application/x-protobuf; proto=org.eclipse.tahu.protobuf.Payload';
  readonly fields: readonly FieldInfo[];
  readonly batch: ReadingBatch;
  readonly #names: readonly string[];
  readonly #type: MessageType;
  readonly #nodes: EdgeNodes;
  readonly #topic: SparkplugTopic | undefined;
  readonly #plain = new PlainValues();
  #message: Understood | undefined;
  /** What the message that was opened last changes of what is known of its edge node. */
  #change: (() => void) | undefined;

  constructor(names: readonly string[], type: MessageType, nodes: EdgeNodes, topic?: SparkplugTopic) {
    this.#names = names;
    this.#type = type;
    this.#nodes = nodes;
    this.#topic = topic;
    this.fields = names.map((name) => ({ type: OWN_FIELDS[name]?.type ?? 'any' }));
    this.batch = {
      open: (payload) => this.#open(payload),
      select: () => {
        // There is one at most.
      },
      bytes: () => undefined,
      alone: () => undefined,
      close: () => {
        this.#message = undefined;
      },
    };
  }

  bind({ name }: BoundTopic): PayloadReader {
    return new SparkplugReader(this.#names, this.#type, this.#nodes, parseSparkplugTopic(name));
  }

  taken(): void {
    const change = this.#change;
    this.#change = undefined;
    change?.();
  }

  read(payload: Buffer, values: FieldValues): DecodeFault | undefined {
    values.clear(payload);
    const message = this.#message;
    if (message === undefined) return decodeFailed('not a message of Sparkplug B that has a reading');
    const metrics = new Map(message.metrics.map(({ name, value }) => [name, value]));
    this.#plain.begin();
    for (const [slot, name] of this.#names.entries()) {
      // Only ours begin so: a metric may well be called `constructor`.
      const own = name.startsWith('$') ? OWN_FIELDS[name] : undefined;
      const value = own === undefined ? metrics.get(name) : own.of(message);
      const fault = this.#plain.put(values, slot, name, value, typeof value === 'bigint');
      if (fault !== undefined) return fault;
    }
    this.#plain.end(values);
    return undefined;
  }

  inspect(payload: Buffer): Inspection | DecodeFault {
    const opened = this.#open(payload);
    const message = this.#message;
    this.#message = undefined;
    this.#change = undefined;
    if (typeof opened !== 'number') return opened;
    const kind = this.#topic?.kind ?? '';
    if (message === undefined) return { tree: undefined, notes: [`Sparkplug B ${kind}: no record`] };
    const own = Object.entries(OWN_FIELDS).map(([name, { of }]) => [name, of(message)] as const);
    const known = own.filter(([, value]) => value !== undefined);
    return {
      tree: { ...Object.fromEntries(known), $metrics: message.metrics },
      notes: [`Sparkplug B ${kind}`, ...this.#sequenceNotes(message)],
    };
  }

  /** What will be made of the message's number, as {@link #checkSeq} does. */
  #sequenceNotes({ topic, payload: { seq } }: Understood): string[] {
    if (seq === undefined || topic.kind === 'NBIRTH' || topic.kind === 'NDEATH') return [];
    const node = this.#nodes.find(topic);
    if (node === undefined) return ['no birth of its edge node is known: a rebirth is asked for'];
    if (node.lastSeq === undefined) return [];
    const expected = (node.lastSeq + 1) % 256;
    if (Number(seq) === expected) return [`seq ${expected}, as expected`];
    if (Number(seq) === node.lastSeq) return [`seq ${node.lastSeq} once more: a repeat`];
    return [`seq ${String(seq)} where ${expected} was expected: a gap, and a rebirth is asked for`];
  }

  #open(payload: Buffer): number | DecodeFault {
    this.#message = undefined;
    this.#change = undefined;
    const topic = this.#topic;
    if (topic === undefined)
      return decodeFailed('not a topic of Sparkplug B, spBv1.0/<group>/<type>/<edge node>');
    if (topic.kind === 'NCMD' || topic.kind === 'DCMD') return NO_READING;
    if (payload.length === 0) return PAYLOAD_EMPTY;
    if (topic.kind === 'STATE') return this.#openState(topic, payload);
    let message: SparkplugPayload;
    try {
      message = this.#type.decode(payload);
    } catch (error) {
      return decodeFailed(errorMessage(error));
    }
    switch (topic.kind) {
      case 'NBIRTH':
      case 'DBIRTH':
        return this.#openBirth(topic, message);
      case 'NDEATH':
        return this.#openNodeDeath(topic, message);
      default:
        return this.#openData(topic, message);
    }
  }

  #openState(topic: SparkplugTopic, payload: Buffer): number | DecodeFault {
    const state = parseState(payload);
    if (state === undefined)
      return decodeFailed('not a STATE: {"online":..., "timestamp":...}, ONLINE or OFFLINE');
    const { online, timestamp } = state;
    const said = timestamp === undefined ? {} : { timestamp: BigInt(Math.trunc(timestamp)) };
    this.#message = { topic, payload: said, metrics: [], online };
    return ONE_READING;
  }

  #openBirth(topic: SparkplugTopic, message: SparkplugPayload): number | DecodeFault {
    const metrics: NamedMetric[] = [];
    const born: [alias: bigint | undefined, metric: BornMetric][] = [];
    for (const metric of message.metrics ?? []) {
      const { name, alias, datatype = 0 } = metric;
      if (name === undefined || name === '') {
        return { code: 'SPARKPLUG_BIRTH', message: `a metric of the ${topic.kind} has no name` };
      }
      born.push([alias, { name, datatype }]);
      metrics.push(named(metric, name, datatype));
    }
    this.#change = () => {
      const seq = seqOf(message);
      let node: EdgeNode;
      if (topic.kind === 'NBIRTH') node = this.#nodes.born(topic, bdSeqOf(message), seq);
      else {
        node = this.#nodes.findOrAdd(topic);
        this.#checkSeq(topic, node, seq);
        if (!node.isBorn) this.#nodes.requestRebirth(topic);
      }
      for (const [alias, metric] of born) this.#nodes.addMetric(node, topic.source, alias, metric);
    };
    this.#message = { topic, payload: message, metrics, online: true };
    return ONE_READING;
  }

  /** Sent by the broker when the node's connection is gone; of the present connection only if bdSeq is its own. */
  #openNodeDeath(topic: SparkplugTopic, message: SparkplugPayload): number | DecodeFault {
    const bdSeq = bdSeqOf(message);
    const node = this.#nodes.find(topic);
    if (node?.bdSeq !== undefined && bdSeq !== undefined && node.bdSeq !== bdSeq) {
      this.#nodes.stats.staleDeaths++;
      return NO_READING;
    }
    this.#message = { topic, payload: message, metrics: [], online: false };
    return ONE_READING;
  }

  #openData(topic: SparkplugTopic, message: SparkplugPayload): number | DecodeFault {
    const node = this.#nodes.find(topic);
    const metrics: NamedMetric[] = [];
    for (const metric of message.metrics ?? []) {
      const birth = birthOf(node, topic, metric);
      const name = metric.name ?? birth?.name;
      const datatype = metric.datatype ?? birth?.datatype;
      if (name === undefined || (datatype === undefined && needsDatatype(metric))) {
        this.#change = () => {
          this.#nodes.stats.withoutBirth++;
          if (node !== undefined) this.#checkSeq(topic, node, seqOf(message));
          this.#nodes.requestRebirth(topic);
        };
        const which =
          metric.name ?? (metric.alias === undefined ? 'without a name' : `with alias ${metric.alias}`);
        return {
          code: 'SPARKPLUG_BIRTH_MISSING',
          message: `the metric ${which} is in no birth of ${topic.group}/${topic.source} since the gateway knows it; a new birth is asked for`,
        };
      }
      metrics.push(named(metric, name, datatype ?? 0));
    }
    this.#change = () => {
      if (node !== undefined) this.#checkSeq(topic, node, seqOf(message));
      else this.#nodes.requestRebirth(topic);
    };
    const online = topic.kind === 'DDEATH' ? false : undefined;
    this.#message = { topic, payload: message, metrics, online };
    return ONE_READING;
  }

  /** A gap means that something was lost on the way, a birth perhaps. A repeated message is not a gap. */
  #checkSeq(topic: SparkplugTopic, node: EdgeNode, seq: number | undefined): void {
    const last = node.lastSeq;
    if (seq === undefined || seq === last) return;
    node.lastSeq = seq;
    if (last === undefined || seq === (last + 1) % 256) return;
    this.#nodes.stats.sequenceGaps++;
    this.#nodes.requestRebirth(topic);
  }
}

function birthOf(
  node: EdgeNode | undefined,
  { source }: SparkplugTopic,
  { alias, name }: WireMetric,
): BornMetric | undefined {
  if (node === undefined) return undefined;
  // A name stands for itself, whatever alias comes with it.
  return name !== undefined
    ? node.byName.get(`${source}\0${name}`)
    : alias === undefined
      ? undefined
      : node.byAlias.get(alias);
}

/** Only integers mean different things by data type. */
function needsDatatype({ int_value, long_value }: WireMetric): boolean {
  return int_value !== undefined || long_value !== undefined;
}

function named(metric: WireMetric, name: string, datatype: number): NamedMetric {
  return {
    name,
    value: metricValue(metric, datatype) ?? null,
    datatype,
    timestamp: metric.timestamp,
    historical: metric.is_historical === true ? true : undefined,
  };
}

function seqOf({ seq }: SparkplugPayload): number | undefined {
  return seq === undefined || seq > 255n ? undefined : Number(seq);
}
