import { OffsetRanges } from './offset-ranges.ts';

/*
 * What has become of dead letters is kept in a compacted topic, a record for each block of offsets of a partition:
 *   handled/<topic>/<topic id>/<partition>/<block>  ->  { replayed, dropped, failed, written }
 * Committed offsets of a consumer group would not do: brokers forget them a week after the group was last seen
 * (offsets.retention.minutes), and dead letters would be replayed a second time; and they know no gaps.
 * The topic's id is in the key, because a topic that is deleted and made again begins at offset 0 again.
 */

/** Offsets of one record of state: what one record can grow to is bounded by it. */
const BLOCK = 1_000;

/** One partition of a dead-letter topic. */
export interface LetterLog {
  readonly topic: string;
  readonly topicId: string | undefined;
  readonly partition: number;
}

export type LetterState = 'open' | 'replayed' | 'dropped';

/** A record of state; a null value: nothing is left to remember. */
export interface StateRecord {
  readonly key: string;
  readonly value: string | null;
}

/** Offsets are relative to the block's first. */
interface BlockDocument {
  readonly replayed?: string;
  readonly dropped?: readonly { readonly offsets: string; readonly reason: string; readonly atMs: number }[];
  /** Offset -> how often a replay failed. */
  readonly failed?: Readonly<Record<string, number>>;
  /** Offset -> which of its records are in Kafka, where not all of them are. */
  readonly written?: Readonly<Record<string, string>>;
}

interface Block {
  readonly replayed: OffsetRanges;
  dropped: { offsets: OffsetRanges; reason: string; atMs: number }[];
  readonly failed: Map<number, number>;
  readonly written: Map<number, OffsetRanges>;
}

const PREFIX = 'handled/';

/** What has become of every dead letter: read from the state's records, and written as such. */
export class HandledLetters {
  readonly #blocks = new Map<string, Block>();
  readonly #changed = new Set<string>();

  /** Takes a record of state; false: it is about something else. A later one of the same key counts. */
  apply({ key, value }: StateRecord): boolean {
    if (!key.startsWith(PREFIX)) return false;
    if (value === null) this.#blocks.delete(key);
    else this.#blocks.set(key, blockOf(JSON.parse(value) as BlockDocument));
    return true;
  }

  state(log: LetterLog, offset: number): LetterState {
    const block = this.#blocks.get(keyOf(log, offset));
    const relative = offset % BLOCK;
    if (block === undefined) return 'open';
    if (block.replayed.has(relative)) return 'replayed';
    return block.dropped.some(({ offsets }) => offsets.has(relative)) ? 'dropped' : 'open';
  }

  /** Why it was dropped. */
  dropReason(log: LetterLog, offset: number): string | undefined {
    const dropped = this.#blocks.get(keyOf(log, offset))?.dropped;
    return dropped?.find(({ offsets }) => offsets.has(offset % BLOCK))?.reason;
  }

  /** How often its replay has failed. */
  failures(log: LetterLog, offset: number): number {
    return this.#blocks.get(keyOf(log, offset))?.failed.get(offset % BLOCK) ?? 0;
  }

  /** Which of its records are in Kafka already, though it is still open. */
  written(log: LetterLog, offset: number): OffsetRanges | undefined {
    return this.#blocks.get(keyOf(log, offset))?.written.get(offset % BLOCK);
  }

  markReplayed(log: LetterLog, offset: number): void {
    const block = this.#change(log, offset);
    block.replayed.add(offset % BLOCK);
    block.failed.delete(offset % BLOCK);
    block.written.delete(offset % BLOCK);
  }

  markDropped(log: LetterLog, offset: number, reason: string, atMs: number): void {
    const block = this.#change(log, offset);
    let same = block.dropped.find((dropped) => dropped.reason === reason && dropped.atMs === atMs);
    if (same === undefined) {
      same = { offsets: new OffsetRanges(), reason, atMs };
      block.dropped.push(same);
    }
    same.offsets.add(offset % BLOCK);
    block.failed.delete(offset % BLOCK);
    block.written.delete(offset % BLOCK);
  }

  markFailed(log: LetterLog, offset: number): void {
    this.#change(log, offset).failed.set(offset % BLOCK, this.failures(log, offset) + 1);
  }

  /** One of its records is in Kafka, others are not. */
  markWritten(log: LetterLog, offset: number, part: number): void {
    const { written } = this.#change(log, offset);
    const parts = written.get(offset % BLOCK) ?? new OffsetRanges();
    parts.add(part);
    written.set(offset % BLOCK, parts);
  }

  /** The first offset from `begin` on that is still open. */
  firstOpen(log: LetterLog, begin: number): number {
    for (let offset = begin; ;) {
      const block = this.#blocks.get(keyOf(log, offset));
      if (block === undefined) return offset;
      let relative = offset % BLOCK;
      for (let next = -1; next !== relative;) {
        if (next >= 0) relative = next;
        next = block.replayed.firstMissing(relative);
        for (const { offsets } of block.dropped) next = offsets.firstMissing(next);
      }
      offset += relative - (offset % BLOCK);
      if (relative < BLOCK) return offset;
    }
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

  /** What has changed since the last call, to be written. */
  changes(): StateRecord[] {
    const records = [...this.#changed].map((key) => {
      const block = this.#blocks.get(key);
      return { key, value: block === undefined ? null : JSON.stringify(documentOf(block)) };
    });
    this.#changed.clear();
    return records;
  }

  #change(log: LetterLog, offset: number): Block {
    const key = keyOf(log, offset);
    let block = this.#blocks.get(key);
    if (block === undefined) {
      block = blockOf({});
      this.#blocks.set(key, block);
    }
    this.#changed.add(key);
    return block;
  }
}

function logPrefix({ topic, topicId = '-', partition }: LetterLog): string {
  return `${PREFIX}${topic}/${topicId}/${partition}/`;
}

function keyOf(log: LetterLog, offset: number): string {
  return `${logPrefix(log)}${Math.floor(offset / BLOCK)}`;
}

function blockOf({ replayed = '', dropped = [], failed = {}, written = {} }: BlockDocument): Block {
  return {
    replayed: OffsetRanges.parse(replayed),
    dropped: dropped.map(({ offsets, reason, atMs }) => ({
      offsets: OffsetRanges.parse(offsets),
      reason,
      atMs,
    })),
    failed: new Map(Object.entries(failed).map(([offset, times]) => [Number(offset), times])),
    written: new Map(
      Object.entries(written).map(([offset, parts]) => [Number(offset), OffsetRanges.parse(parts)]),
    ),
  };
}

function documentOf({ replayed, dropped, failed, written }: Block): BlockDocument {
  return {
    ...(!replayed.isEmpty && { replayed: String(replayed) }),
    ...(dropped.length > 0 && {
      dropped: dropped.map(({ offsets, reason, atMs }) => ({ offsets: String(offsets), reason, atMs })),
    }),
    ...(failed.size > 0 && { failed: Object.fromEntries(failed) }),
    ...(written.size > 0 && {
      written: Object.fromEntries([...written].map(([offset, parts]) => [offset, String(parts)])),
    }),
  };
}
