/** The message types of Sparkplug (Eclipse Sparkplug 3.0.0, section 4.1). */
type SparkplugKind =
  'NBIRTH' | 'NDEATH' | 'NDATA' | 'NCMD' | 'DBIRTH' | 'DDEATH' | 'DDATA' | 'DCMD' | 'STATE';

/** `spBv1.0/<group>/<type>/<edge node>[/<device>]`, or `spBv1.0/STATE/<host>`. */
export interface SparkplugTopic {
  readonly kind: SparkplugKind;
  /** Empty for STATE. */
  readonly group: string;
  /** Empty for STATE. */
  readonly node: string;
  /** Empty for the edge node's own messages. */
  readonly device: string;
  /** Who it is about: `<edge node>`, `<edge node>/<device>`, or the host. */
  readonly source: string;
}

const NODE_KINDS: readonly string[] = ['NBIRTH', 'NDEATH', 'NDATA', 'NCMD'];
const DEVICE_KINDS: readonly string[] = ['DBIRTH', 'DDEATH', 'DDATA', 'DCMD'];

/** undefined: not a topic of Sparkplug B. */
export function parseSparkplugTopic(name: string): SparkplugTopic | undefined {
  const levels = name.split('/');
  // Sparkplug 2.2 has `STATE/<host>` outside of its namespace.
  const state = levels[0] === 'STATE' ? levels : levels[0] === 'spBv1.0' ? levels.slice(1) : [];
  if (state[0] === 'STATE' && state.length === 2 && state[1] !== '') {
    return { kind: 'STATE', group: '', node: '', device: '', source: state[1] as string };
  }
  const [namespace, group = '', kind = '', node = '', device = ''] = levels;
  if (namespace !== 'spBv1.0' || group === '' || node === '') return undefined;
  if (NODE_KINDS.includes(kind) && levels.length === 4) {
    return { kind: kind as SparkplugKind, group, node, device: '', source: node };
  }
  if (DEVICE_KINDS.includes(kind) && levels.length === 5 && device !== '') {
    return { kind: kind as SparkplugKind, group, node, device, source: `${node}/${device}` };
  }
  return undefined;
}

/** What a birth said of a metric. */
export interface BornMetric {
  readonly name: string;
  readonly datatype: number;
}

/** An edge node between two of its births, its devices included. */
export interface EdgeNode {
  readonly group: string;
  readonly name: string;
  /** From the birth; pairs it with the death that the broker sends for the same connection. */
  readonly bdSeq: bigint | undefined;
  /** Aliases are unique among all metrics of the node and its devices. */
  readonly byAlias: Map<bigint, BornMetric>;
  /** Data types by source and name, for metrics without alias. */
  readonly byName: Map<string, BornMetric>;
  /** Whether the NBIRTH itself was seen: else the node is known by a device's birth alone. */
  readonly isBorn: boolean;
  /** Of the last message; undefined: none yet. */
  lastSeq: number | undefined;
}

interface EdgeNodeLimits {
  readonly nodes: number;
  /** Of all nodes together. */
  readonly metrics: number;
}

const LIMITS: EdgeNodeLimits = { nodes: 10_000, metrics: 1_000_000 };

/** A request for a birth is repeated no sooner, whatever the node goes on sending. */
export const REBIRTH_INTERVAL_MS = 30_000;

/** Figures about all edge nodes of a profile. */
export interface SparkplugStats {
  births: number;
  /** Deaths of an older connection, which say nothing about the present one. */
  staleDeaths: number;
  /** Messages whose sequence number is not the next one. */
  sequenceGaps: number;
  /** Messages that can't be understood without a birth that was not seen. */
  withoutBirth: number;
  rebirthRequests: number;
  /** Nodes forgotten for want of room; their next message asks for a birth. */
  forgotten: number;
}

/**
 * What is known of the edge nodes, until their next birth. Bounded: the node that was born longest ago is
 * forgotten first.
 */
export class EdgeNodes {
  readonly stats: SparkplugStats = {
    births: 0,
    staleDeaths: 0,
    sequenceGaps: 0,
    withoutBirth: 0,
    rebirthRequests: 0,
    forgotten: 0,
  };
  /** By group and name, in the order of their births. */
  readonly #nodes = new Map<string, EdgeNode>();
  #metrics = 0;
  /** When each node was last asked for a birth, in the order of asking. */
  readonly #asked = new Map<string, number>();
  readonly #limits: EdgeNodeLimits;
  readonly #monotonicMs: () => number;
  readonly #ask: (group: string, node: string) => void;

  /** `ask` sends the request for a birth. */
  constructor(
    ask: (group: string, node: string) => void,
    monotonicMs: () => number,
    limits: EdgeNodeLimits = LIMITS,
  ) {
    this.#ask = ask;
    this.#monotonicMs = monotonicMs;
    this.#limits = limits;
  }

  get size(): number {
    return this.#nodes.size;
  }

  find({ group, node }: SparkplugTopic): EdgeNode | undefined {
    return this.#nodes.get(keyOf(group, node));
  }

  /** A birth of the node itself: all that was known of it and its devices is over. */
  born({ group, node }: SparkplugTopic, bdSeq: bigint | undefined, seq: number | undefined): EdgeNode {
    this.stats.births++;
    return this.#add(group, node, bdSeq, seq, true);
  }

  /** The node, as far as a device's birth tells of it. */
  findOrAdd({ group, node }: SparkplugTopic): EdgeNode {
    return this.#nodes.get(keyOf(group, node)) ?? this.#add(group, node, undefined, undefined, false);
  }

  #add(
    group: string,
    name: string,
    bdSeq: bigint | undefined,
    lastSeq: number | undefined,
    isBorn: boolean,
  ): EdgeNode {
    this.#remove(keyOf(group, name));
    const node = { group, name, bdSeq, lastSeq, isBorn, byAlias: new Map(), byName: new Map() };
    this.#nodes.set(keyOf(group, name), node);
    this.#makeRoom(node);
    return node;
  }

  /** Remembers a metric of a birth. */
  addMetric(node: EdgeNode, source: string, alias: bigint | undefined, metric: BornMetric): void {
    // More metrics than there is room for at all: the node itself was forgotten.
    if (this.#nodes.get(keyOf(node.group, node.name)) !== node) return;
    const before = node.byAlias.size + node.byName.size;
    if (alias !== undefined) node.byAlias.set(alias, metric);
    node.byName.set(`${source}\0${metric.name}`, metric);
    this.#metrics += node.byAlias.size + node.byName.size - before;
    this.#makeRoom(node);
  }

  /** Asks the node for a birth, unless it was asked a moment ago. */
  requestRebirth({ group, node }: SparkplugTopic): void {
    const key = keyOf(group, node);
    const now = this.#monotonicMs();
    const last = this.#asked.get(key);
    if (last !== undefined && now - last < REBIRTH_INTERVAL_MS) return;
    this.#asked.delete(key);
    this.#asked.set(key, now);
    if (this.#asked.size > this.#limits.nodes) this.#asked.delete(firstKey(this.#asked));
    this.stats.rebirthRequests++;
    this.#ask(group, node);
  }

  #makeRoom(newest: EdgeNode): void {
    while (this.#nodes.size > this.#limits.nodes || this.#metrics > this.#limits.metrics) {
      const oldest = firstKey(this.#nodes);
      this.stats.forgotten++;
      this.#remove(oldest);
      if (oldest === keyOf(newest.group, newest.name)) return;
    }
  }

  #remove(key: string): void {
    const node = this.#nodes.get(key);
    if (node === undefined) return;
    this.#metrics -= node.byAlias.size + node.byName.size;
    this.#nodes.delete(key);
  }
}

function keyOf(group: string, node: string): string {
  return `${group}/${node}`;
}

function firstKey(map: ReadonlyMap<string, unknown>): string {
  return map.keys().next().value as string;
}
