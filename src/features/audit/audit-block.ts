import { crc32 } from 'node:zlib';

/** One record of which the gateway says that Kafka has it. */
export interface AuditEntry {
  /** When Kafka's acknowledgement was passed on, by the gateway's clock; milliseconds since 1970-01-01 UTC. */
  readonly timeMs: number;
  readonly topic: string;
  readonly partition: number;
  /** -1: Kafka had the batch already and did not say where. */
  readonly offset: number;
  /** The record's key, which is the device's id as a rule; at most {@link KEY_BYTES} of it. */
  readonly key: Buffer | null;
  /** See {@link digestOf}. */
  readonly digest: number;
}

/** Entries that could not be written: what they were about can't be judged. */
export interface AuditGap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly entries: number;
}

/** Of a longer key the entry has the beginning; the digest is of all of it. */
export const KEY_BYTES = 128;

/** CRC-32 of the key and then of the value; nothing and no bytes are the same. */
export function digestOf(key: Uint8Array | null, value: Uint8Array | null): number {
  const ofKey = key === null ? 0 : crc32(key);
  return value === null ? ofKey : crc32(value, ofKey);
}

/*
 * Entries are written one behind the other into a block's buffer:
 *   time: zigzag varint, since the entry before | log: varint, index into the block's table
 *   offset: varint, 0 if unknown, else 1 + zigzag of the difference to the last known offset in the same log
 *   key: varint of its length + 1, 0 for none, and its bytes | digest: u32 little endian
 * The table of logs (topics and partitions) and the first time go before them, as JSON behind its length.
 */

/** What an entry takes at most. */
const ENTRY_BYTES = 40 + KEY_BYTES;

interface BlockHead {
  readonly timeMs: number;
  readonly count: number;
  readonly logs: readonly (readonly [topic: string, partition: number])[];
}

/** A block that is being filled. Offsets and times are below 2^51, so that a difference of two has room to grow. */
export class BlockWriter {
  readonly #buffer: Buffer;
  #position = 0;
  /** Entries in it, and the times of the first and the last. */
  count = 0;
  firstMs = 0;
  lastMs = 0;
  readonly #logs: (readonly [string, number])[] = [];
  /** By log: the last known offset. */
  readonly #offsets: number[] = [];
  readonly #indexes = new Map<string, Map<number, number>>();
  #lastTopic = '';
  #lastPartition = -1;
  #lastIndex = 0;

  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafe(bytes);
  }

  /** False: there is no room. */
  add(
    timeMs: number,
    topic: string,
    partition: number,
    offset: number,
    key: Uint8Array | null,
    digest: number,
  ): boolean {
    if (this.#position + ENTRY_BYTES > this.#buffer.length) return false;
    if (this.count === 0) {
      this.firstMs = timeMs;
      this.lastMs = timeMs;
    }
    const log = this.#log(topic, partition);
    this.#varint(zigzag(timeMs - this.lastMs));
    this.#varint(log);
    if (offset < 0) this.#varint(0);
    else {
      this.#varint(1 + zigzag(offset - (this.#offsets[log] as number)));
      this.#offsets[log] = offset;
    }
    if (key === null) this.#varint(0);
    else {
      const length = Math.min(key.length, KEY_BYTES);
      this.#varint(length + 1);
      for (let i = 0; i < length; i++) this.#buffer[this.#position++] = key[i] as number;
    }
    this.#position = this.#buffer.writeUInt32LE(digest, this.#position);
    this.lastMs = timeMs;
    this.count++;
    return true;
  }

  /** The block, to be compressed. */
  finish(): Buffer {
    const head: BlockHead = { timeMs: this.firstMs, count: this.count, logs: this.#logs };
    const json = Buffer.from(JSON.stringify(head), 'utf8');
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(json.length);
    return Buffer.concat([length, json, this.#buffer.subarray(0, this.#position)]);
  }

  clear(): void {
    this.#position = 0;
    this.count = 0;
    this.#logs.length = 0;
    this.#offsets.length = 0;
    this.#indexes.clear();
    this.#lastPartition = -1;
  }

  /** Completions come by batch: mostly it is the log of the entry before. */
  #log(topic: string, partition: number): number {
    if (partition === this.#lastPartition && topic === this.#lastTopic) return this.#lastIndex;
    let partitions = this.#indexes.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#indexes.set(topic, partitions);
    }
    let index = partitions.get(partition);
    if (index === undefined) {
      index = this.#logs.push([topic, partition]) - 1;
      this.#offsets.push(0);
      partitions.set(partition, index);
    }
    this.#lastTopic = topic;
    this.#lastPartition = partition;
    this.#lastIndex = index;
    return index;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#position++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#position++] = rest;
  }
}

/** The entries of a block. Throws a RangeError for bytes that are none. */
export function* readBlock(block: Buffer): Generator<AuditEntry> {
  const headBytes = block.readUInt32LE(0);
  const { timeMs: firstMs, count, logs } = JSON.parse(block.toString('utf8', 4, 4 + headBytes)) as BlockHead;
  const offsets = logs.map(() => 0);
  let position = 4 + headBytes;
  let timeMs = firstMs;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = block.readUInt8(position++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  for (let i = 0; i < count; i++) {
    timeMs += unzigzag(varint());
    const log = varint();
    const [topic, partition] = logs[log] ?? ['', -1];
    const delta = varint();
    if (delta > 0) offsets[log] = (offsets[log] ?? 0) + unzigzag(delta - 1);
    const offset = delta === 0 ? -1 : (offsets[log] ?? 0);
    const keyBytes = varint() - 1;
    const key = keyBytes < 0 ? null : block.subarray(position, (position += keyBytes));
    const digest = block.readUInt32LE(position);
    position += 4;
    yield { timeMs, topic, partition, offset, key, digest };
  }
}

function zigzag(value: number): number {
  return value >= 0 ? 2 * value : -2 * value - 1;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** What a record of the log holds; stable: files carry these numbers in its first byte. */
export const RecordType = {
  /** A block of entries, compressed with zstd. */
  Entries: 1,
  /** Entries that could not be written: f64 from ms | f64 to ms | f64 number. */
  Gap: 3,
} as const;

export function entriesRecord(compressed: Buffer): Buffer {
  return Buffer.concat([Buffer.of(RecordType.Entries), compressed]);
}

export function gapRecord({ fromMs, toMs, entries }: AuditGap): Buffer {
  const record = Buffer.alloc(25, RecordType.Gap);
  for (const [index, value] of [fromMs, toMs, entries].entries()) record.writeDoubleLE(value, 1 + 8 * index);
  return record;
}

export function readGap(record: Buffer): AuditGap {
  const [fromMs = 0, toMs = 0, entries = 0] = [1, 9, 17].map((at) => record.readDoubleLE(at));
  return { fromMs, toMs, entries };
}
