import type { LogRange } from '../../kafka/connection/topic-reader.ts';
import { type AuditEntry, digestOf } from './audit-block.ts';

/** Where a partition's log begins and ends. */
interface LogBounds {
  readonly begin: number;
  readonly end: number;
}

/** What is read from Kafka. */
export interface KafkaLogs {
  /** undefined: there is no such topic. */
  describe(topic: string): Promise<{ readonly partitions: readonly LogBounds[] } | undefined>;
  read(range: LogRange): AsyncIterable<readonly StoredRecord[]>;
}

interface StoredRecord {
  readonly offset: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
}

/** Why an entry is not what Kafka has. */
export type DifferenceKind =
  /** Kafka's log reaches there, or should, and has no such record. */
  | 'missing'
  /** Another record stands there. */
  | 'different'
  /** The log begins later: retention or somebody has deleted what was there. */
  | 'deleted'
  /** The topic, or its partition, does not exist. */
  | 'no-topic';

export interface Difference {
  readonly kind: DifferenceKind;
  readonly entry: AuditEntry;
}

/** An entry without an offset, and between which of its log's entries it was acknowledged. */
interface Unplaced {
  readonly entry: AuditEntry;
  readonly after: number;
  before: number | undefined;
}

/** Entries of unknown offset that are looked for; there are such only after a long series of lost answers. */
const UNPLACED_MAX = 100_000;

/** Compares what the audit log says with what is in Kafka, some entries at a time. */
export class Comparison {
  readonly #kafka: KafkaLogs;
  readonly #onDifference: (difference: Difference) => void;
  /** By topic; undefined: there is no such topic. */
  readonly #bounds = new Map<string, readonly LogBounds[] | undefined>();
  readonly #unplaced = new Map<string, Unplaced[]>();
  #unplacedCount = 0;
  /** By log: the last known offset. */
  readonly #lastOffsets = new Map<string, number>();
  judged = 0;
  /** Entries without an offset that were too many to be looked for. */
  notJudged = 0;

  constructor(kafka: KafkaLogs, onDifference: (difference: Difference) => void) {
    this.#kafka = kafka;
    this.#onDifference = onDifference;
  }

  /** Compares entries that were acknowledged together: of each log they lie close to each other. */
  async compare(entries: readonly AuditEntry[]): Promise<void> {
    const byLog = Map.groupBy(entries, logOf);
    for (const [log, inLog] of byLog) {
      const sorted = inLog.filter(({ offset }) => offset >= 0).toSorted((a, b) => a.offset - b.offset);
      const after = this.#lastOffsets.get(log) ?? -1;
      this.#notePlaces(log, sorted);
      for (const entry of inLog) if (entry.offset < 0) this.#setAside(log, entry, after);
      await this.#compareLog(sorted);
    }
  }

  /** Looks for the entries of unknown offset; to be called at the end. */
  async finish(): Promise<void> {
    for (const unplaced of this.#unplaced.values()) await this.#findUnplaced(unplaced);
    this.#unplaced.clear();
  }

  #setAside(log: string, entry: AuditEntry, after: number): void {
    if (this.#unplacedCount === UNPLACED_MAX) {
      this.notJudged++;
      return;
    }
    this.#unplacedCount++;
    const list = this.#unplaced.get(log) ?? [];
    list.push({ entry, after, before: undefined });
    this.#unplaced.set(log, list);
  }

  #notePlaces(log: string, sorted: readonly AuditEntry[]): void {
    const last = sorted.at(-1);
    if (last === undefined) return;
    this.#lastOffsets.set(log, last.offset);
    // A partition's records are acknowledged in their order: what was set aside earlier lies before these.
    for (const unplaced of this.#unplaced.get(log) ?? []) unplaced.before ??= last.offset;
  }

  async #compareLog(sorted: readonly AuditEntry[]): Promise<void> {
    const [first] = sorted;
    if (first === undefined) return;
    const { topic, partition } = first;
    const bounds = await this.#boundsOf(topic, partition, sorted.at(-1)?.offset ?? 0);
    this.judged += sorted.length;
    if (bounds === undefined) {
      for (const entry of sorted) this.#differs('no-topic', entry);
      return;
    }
    const kept = sorted.filter((entry) => entry.offset >= bounds.begin);
    for (const entry of sorted) if (entry.offset < bounds.begin) this.#differs('deleted', entry);
    const from = kept[0]?.offset;
    const to = kept.at(-1)?.offset;
    if (from === undefined || to === undefined) return;

    let next = 0;
    for await (const records of this.#kafka.read({ topic, partition, from, to: to + 1 })) {
      for (const record of records) next = this.#meet(kept, next, record);
    }
    for (; next < kept.length; next++) this.#differs('missing', kept[next] as AuditEntry);
  }

  /** Judges the entries up to a record's offset; returns the index of the first behind it. */
  #meet(entries: readonly AuditEntry[], from: number, record: StoredRecord): number {
    let next = from;
    for (; next < entries.length; next++) {
      const entry = entries[next] as AuditEntry;
      if (entry.offset > record.offset) break;
      if (entry.offset < record.offset) this.#differs('missing', entry);
      else if (entry.digest !== digestOf(record.key, record.value)) this.#differs('different', entry);
    }
    return next;
  }

  async #findUnplaced(list: readonly Unplaced[]): Promise<void> {
    const [first] = list;
    if (first === undefined) return;
    const { topic, partition } = first.entry;
    const bounds = await this.#boundsOf(topic, partition, Number.POSITIVE_INFINITY);
    this.judged += list.length;
    if (bounds === undefined) {
      for (const { entry } of list) this.#differs('no-topic', entry);
      return;
    }
    const wanted = Map.groupBy(list, ({ entry }) => entry.digest);
    // Not Math.min(...): there may be more entries than a call may have arguments.
    let from = bounds.end;
    let to = bounds.begin;
    for (const { after, before } of list) {
      from = Math.min(from, after + 1);
      to = Math.max(to, before ?? bounds.end);
    }
    from = Math.max(from, bounds.begin);
    to = Math.min(to, bounds.end);
    for await (const records of this.#kafka.read({ topic, partition, from, to })) {
      for (const { key, value } of records) wanted.get(digestOf(key, value))?.pop();
    }
    for (const left of wanted.values()) for (const { entry } of left) this.#differs('missing', entry);
  }

  /** Asked again where an entry lies behind the end that was known. */
  async #boundsOf(topic: string, partition: number, offset: number) {
    let bounds = this.#bounds.get(topic);
    if (bounds === undefined || (bounds[partition]?.end ?? 0) <= offset) {
      bounds = (await this.#kafka.describe(topic))?.partitions;
      this.#bounds.set(topic, bounds);
    }
    return bounds?.[partition];
  }

  #differs(kind: DifferenceKind, entry: AuditEntry): void {
    this.#onDifference({ kind, entry });
  }
}

function logOf({ topic, partition }: AuditEntry): string {
  return `${topic}/${partition}`;
}
