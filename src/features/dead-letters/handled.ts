import type { ProducerRecord, RecordMetadata } from '../../core/record.ts';
import type { LetterSource, Place } from './dead-letter.ts';
import { numbersOf, parseRanges, rangesOf, rangesText } from './ranges.ts';

/*
 * What has become of dead letters is kept in a compacted topic of one partition, so that its records have one order.
 * There is a record for each block of offsets of a partition, and one for what a replay is writing:
 *   handled/<topic>/<topic id>/<partition>/<block>  ->  { replayed, dropped, failed, written }
 *   attempt                                         ->  { letters, ends }
 * Committed offsets of a consumer group would not do: brokers forget them a week after the group was last seen
 * (offsets.retention.minutes), and dead letters would be replayed a second time; and they know no gaps.
 * The topic's id is in the key, because a topic that is deleted and made again begins at offset 0 again.
 */

/** Offsets of one record of state: what one record can grow to is bounded by it. */
const BLOCK = 1_000;
const PREFIX = 'handled/';
const ATTEMPT_KEY = 'attempt';
/** The first and only one of the topic. */
const PARTITION = 0;

/** Resolves when the record is in Kafka; sends for one partition arrive in the order of the calls. */
export type Send = (record: ProducerRecord<Uint8Array, Uint8Array>) => Promise<RecordMetadata>;

/** One partition of a dead-letter topic. */
export interface LetterLog {
  readonly topic: string;
  readonly topicId?: string | undefined;
  readonly partition: number;
}

export type LetterState = 'open' | 'replayed' | 'dropped';

/** What has become of one dead letter. */
export interface Handling {
  readonly state: LetterState;
  /** How often its replay has failed, while it is open. */
  readonly failures: number;
  /** Which of its records are in Kafka, while it is open: others are not. */
  readonly written: readonly number[];
  readonly dropped?: { readonly reason: string; readonly atMs: number };
}

const OPEN: Handling = { state: 'open', failures: 0, written: [] };
const REPLAYED: Handling = { ...OPEN, state: 'replayed' };

/** Letters whose records are about to be written: what a replay that dies may have written, or not. */
export interface Attempt {
  readonly letters: readonly (LetterLog &
    Place & {
      /** Which of its records are to be written. */
      readonly parts: readonly number[];
      /** It stays a dead letter all the same: others of its records are not to be had. */
      readonly isPartial?: true;
    })[];
  /** Where the logs ended that they go to: by topic, the next offset of each partition. */
  readonly ends: Readonly<Record<string, readonly number[]>>;
}

/** By offset, relative to the block's first. */
type Block = Handling[];

/** What is remembered of dead letters, in Kafka. While its topic is not there, nothing is remembered. */
export class HandledLetters {
  readonly #topic: string;
  readonly #send: Send | undefined;
  readonly #blocks = new Map<string, Block>();
  readonly #changed = new Set<string>();
  /** What was begun and not finished: by a replay that died, or that runs. Written by this class alone. */
  attempt: Attempt | undefined;

  private constructor(topic: string, send: Send | undefined) {
    this.#topic = topic;
    this.#send = send;
  }

  /** Reads the topic; without `send` it can only be looked at. */
  static async load(source: LetterSource, topic: string, send?: Send): Promise<HandledLetters> {
    const handled = new HandledLetters(topic, send);
    const log = (await source.describe(topic))?.partitions[PARTITION];
    if (log === undefined) return handled;
    const range = { topic, partition: PARTITION, from: log.begin, to: log.end };
    for await (const records of source.read(range)) {
      for (const { key, value } of records) {
        handled.#apply(key?.toString('utf8') ?? '', value?.toString('utf8') ?? null);
      }
    }
    return handled;
  }

  /** A later record of the same key counts, and one without a value forgets it. */
  #apply(key: string, value: string | null): void {
    const document: unknown = value === null ? undefined : JSON.parse(value);
    if (key === ATTEMPT_KEY) this.attempt = document as Attempt | undefined;
    else if (!key.startsWith(PREFIX)) return;
    else if (document === undefined) this.#blocks.delete(key);
    else this.#blocks.set(key, blockOf(document as BlockDocument));
  }

  of(log: LetterLog, offset: number): Handling {
    return this.#blocks.get(keyOf(log, offset))?.[offset % BLOCK] ?? OPEN;
  }

  markReplayed(log: LetterLog, offset: number): void {
    this.#set(log, offset, REPLAYED);
  }

  markDropped(log: LetterLog, offset: number, reason: string, atMs: number): void {
    this.#set(log, offset, { ...OPEN, state: 'dropped', dropped: { reason, atMs } });
  }

  markFailed(log: LetterLog, offset: number): void {
    const handling = this.of(log, offset);
    this.#set(log, offset, { ...handling, failures: handling.failures + 1 });
  }

  /** These of its records are in Kafka, others are not. */
  markWritten(log: LetterLog, offset: number, parts: Iterable<number>): void {
    const handling = this.of(log, offset);
    const written = [...new Set([...handling.written, ...parts])].sort((a, b) => a - b);
    this.#set(log, offset, { ...handling, written });
  }

  /** The first offset from `begin` on that is still open. */
  firstOpen(log: LetterLog, begin: number): number {
    let offset = begin;
    while (this.of(log, offset).state !== 'open') offset++;
    return offset;
  }

  /** Forgets the blocks that lie before `begin`: Kafka has deleted their letters. */
  forget(log: LetterLog, begin: number): void {
    const prefix = logPrefix(log);
    for (const key of this.#blocks.keys()) {
      if (!key.startsWith(prefix) || (Number(key.slice(prefix.length)) + 1) * BLOCK > begin) continue;
      this.#blocks.delete(key);
      this.#changed.add(key);
    }
  }

  /** To be called, and waited for, before the first record is written. */
  async begin(attempt: Attempt): Promise<void> {
    await this.#append([[ATTEMPT_KEY, attempt]]);
    this.attempt = attempt;
  }

  /** Writes what was marked, and that nothing is being written any more. */
  async finish(): Promise<void> {
    const changes = [...this.#changed].map((key) => {
      const block = this.#blocks.get(key);
      return [key, block && documentOf(block)] as const;
    });
    this.#changed.clear();
    await this.#append(this.attempt === undefined ? changes : [...changes, [ATTEMPT_KEY, undefined]]);
    this.attempt = undefined;
  }

  /** Resolves when all of it is in Kafka, in this order; a key without a document is forgotten. */
  async #append(records: readonly (readonly [key: string, document: object | undefined])[]): Promise<void> {
    const send = this.#send;
    if (send === undefined) throw new Error('the state was opened for reading');
    await Promise.all(
      records.map(([key, document]) =>
        send({
          topic: this.#topic,
          partition: PARTITION,
          key: Buffer.from(key, 'utf8'),
          value: document === undefined ? null : Buffer.from(JSON.stringify(document), 'utf8'),
        }),
      ),
    );
  }

  #set(log: LetterLog, offset: number, handling: Handling): void {
    const key = keyOf(log, offset);
    const block = this.#blocks.get(key) ?? [];
    block[offset % BLOCK] = handling;
    this.#blocks.set(key, block);
    this.#changed.add(key);
  }
}

function logPrefix({ topic, topicId = '-', partition }: LetterLog): string {
  return `${PREFIX}${topic}/${topicId}/${partition}/`;
}

function keyOf(log: LetterLog, offset: number): string {
  return `${logPrefix(log)}${Math.floor(offset / BLOCK)}`;
}

/** A block as a record of state has it; what is empty is left out. Offsets are relative to the block's first. */
interface BlockDocument {
  readonly replayed?: string | undefined;
  readonly dropped?:
    readonly { readonly offsets: string; readonly reason: string; readonly atMs: number }[] | undefined;
  /** Offset -> how often a replay failed. */
  readonly failed?: Readonly<Record<string, number>>;
  /** Offset -> which of its records are in Kafka, where not all of them are. */
  readonly written?: Readonly<Record<string, string>>;
}

function blockOf({ replayed = '', dropped = [], failed = {}, written = {} }: BlockDocument): Block {
  const block: Block = [];
  for (const offset of numbersOf(parseRanges(replayed))) block[offset] = REPLAYED;
  for (const { offsets, ...why } of dropped) {
    const handling: Handling = { ...OPEN, state: 'dropped', dropped: why };
    for (const offset of numbersOf(parseRanges(offsets))) block[offset] = handling;
  }
  for (const [key, failures] of Object.entries(failed)) block[Number(key)] = { ...OPEN, failures };
  for (const [key, parts] of Object.entries(written)) {
    const offset = Number(key);
    block[offset] = { ...(block[offset] ?? OPEN), written: [...numbersOf(parseRanges(parts))] };
  }
  return block;
}

function documentOf(block: Block): BlockDocument {
  const replayed: number[] = [];
  const dropped = new Map<string, { offsets: number[]; reason: string; atMs: number }>();
  const failed: Record<string, number> = {};
  const written: Record<string, string> = {};
  // Offsets of which nothing is known are holes, and are left out.
  block.forEach((handling, offset) => {
    const { state, failures, written: parts, dropped: why } = handling;
    if (state === 'replayed') replayed.push(offset);
    if (why !== undefined) {
      const key = `${why.atMs} ${why.reason}`;
      const same = dropped.get(key) ?? { offsets: [], ...why };
      same.offsets.push(offset);
      dropped.set(key, same);
    }
    if (failures > 0) failed[offset] = failures;
    if (parts.length > 0) written[offset] = rangesText(rangesOf(parts));
  });
  return {
    ...(replayed.length > 0 && { replayed: rangesText(rangesOf(replayed)) }),
    ...(dropped.size > 0 && {
      dropped: [...dropped.values()].map((one) => ({ ...one, offsets: rangesText(rangesOf(one.offsets)) })),
    }),
    ...(Object.keys(failed).length > 0 && { failed }),
    ...(Object.keys(written).length > 0 && { written }),
  };
}
