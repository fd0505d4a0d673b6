import { type Clock, systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import { type JournalTarget, PendingChunk } from '../../src/journal/commit-loop.ts';
import type { DiskSettings } from '../../src/journal/disk/disk-port.ts';
import { JournalDisk } from '../../src/journal/disk/journal-disk.ts';
import type { Chunk } from '../../src/journal/disk/segment-writer.ts';
import {
  emptyJournalRecord,
  type Position,
  type RecordMeta,
  segmentOf,
} from '../../src/journal/journal-record.ts';
import { Journal, type JournalOptions, type JournalRefusal } from '../../src/journal/journal.ts';
import type { JournalSettings } from '../../src/journal/settings.ts';
import { MemoryFs } from '../durable-log/memory-fs.ts';
import { InlineDisk } from './inline-disk.ts';

/** A record that can be told from every other: its number is its value. */
export function numbered(number: number, size = 8): { record: SerializedRecord; meta: RecordMeta } {
  const value = Buffer.alloc(Math.max(size, 8), number & 0xff);
  value.writeDoubleLE(number, 0);
  const device = `device-${number % 5}`;
  return {
    record: {
      topic: `topic-${number % 2}`,
      key: Buffer.from(device),
      value,
      timestampMs: 1_700_000_000_000 + number,
      headers: NO_HEADERS,
    },
    meta: {
      account: 'meter',
      clientId: device,
      packetId: (number % 65_535) + 1,
      qos: 1,
      publicationNumber: 0,
    },
  };
}

export function numberOf(value: Uint8Array | null): number {
  return Buffer.from(value!).readDoubleLE(0);
}

/** A disk's side on a file system in memory, for tests below the event loop. */
export function diskOn(
  fs: MemoryFs,
  settings: Partial<DiskSettings> = {},
): { disk: JournalDisk; settings: DiskSettings } {
  return {
    disk: new JournalDisk(fs, () => 1_700_000_000_000),
    settings: {
      directories: ['/a'],
      segmentBytes: 64 << 10,
      segmentMaxAgeMs: 3_600_000,
      maxBytes: 1 << 30,
      key: undefined,
      ...settings,
    },
  };
}

export function chunkOf(numbers: readonly number[], size?: number): Chunk {
  const chunk = new PendingChunk(64 << 10);
  for (const number of numbers) {
    const { record, meta } = numbered(number, size);
    chunk.append(record, meta, { recordJournaled() {} }, 0);
  }
  return chunk;
}

export interface Rig {
  readonly journal: Journal;
  readonly disk: InlineDisk;
  readonly fs: MemoryFs;
  /** Number -> position of each record that was said to be durable. */
  readonly durable: Map<number, Position>;
  /** Appends the numbered record; false when it has to wait. */
  append(number: number, size?: number): boolean;
  /** Waits for what the last refused append has to wait for. */
  wait(callback: () => void): void;
}

/** Time that passes as fast as the journal waits for it. What is due in a thousand seconds never comes. */
export function hastyClock(): Clock {
  let nowMs = 0;
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => nowMs,
    schedule: (callback, delayMs) => {
      if (delayMs >= 1_000_000) return () => {};
      const dueMs = nowMs + delayMs;
      const immediate = setImmediate(() => {
        nowMs = Math.max(nowMs, dueMs);
        callback();
      });
      return () => {
        clearImmediate(immediate);
      };
    },
  };
}

/** A journal on a file system in memory. */
export async function openRig(
  fs = new MemoryFs(),
  settings: Partial<JournalSettings> = {},
  { clock = systemClock, ...options }: Partial<JournalOptions> = {},
): Promise<Rig> {
  const disk = new InlineDisk(new JournalDisk(fs, Date.now));
  const journal = await Journal.open({
    settings: {
      directories: ['/a'],
      segmentBytes: 64 << 10,
      maxBytes: 1 << 20,
      commitIntervalMs: 0,
      checkpointIntervalMs: 3_600_000,
      ...settings,
    },
    clock,
    logger: silentLogger,
    disk,
    ...options,
  });
  const durable = new Map<number, Position>();
  const target: JournalTarget = {
    recordJournaled: (token, position) => durable.set(token, position),
  };
  let refusal: JournalRefusal | undefined;
  return {
    journal,
    disk,
    fs,
    durable,
    append: (number, size) => {
      const { record, meta } = numbered(number, size);
      refusal = journal.append(record, meta, target, number);
      if (refusal instanceof Error) throw refusal;
      return refusal === undefined;
    },
    wait: (callback) => {
      if (refusal === undefined || refusal instanceof Error) throw new Error('nothing was refused');
      refusal.wait(callback);
    },
  };
}

/** Reads everything that is open. */
export async function readAll(journal: Journal): Promise<{ number: number; position: Position }[]> {
  const reader = journal.openReader();
  const record = emptyJournalRecord();
  const found: { number: number; position: Position }[] = [];
  for (let batch; (batch = await reader.next(4096)) !== undefined;) {
    while (batch.next(record)) found.push({ number: numberOf(record.value), position: record.position });
  }
  return found;
}

export function segmentsOf(positions: Iterable<Position>): number[] {
  return [...new Set([...positions].map(segmentOf))];
}
