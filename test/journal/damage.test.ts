import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { HEADER_BYTES } from '../../src/durable-log/file-header.ts';
import type { DiskSettings } from '../../src/journal/disk/disk-port.ts';
import { JournalDisk } from '../../src/journal/disk/journal-disk.ts';
import { decodeRecord, emptyJournalRecord } from '../../src/journal/journal-record.ts';
import { MemoryFs } from '../durable-log/memory-fs.ts';
import { chunkOf, diskOn, numbered, numberOf } from './rig.ts';

const SEGMENT = '/a/000000000001.segment';

/** Reads everything below the event loop; every record is compared with what was written, byte for byte. */
function readBack(disk: JournalDisk): { numbers: number[]; recordNumbers: number[]; lost: number } {
  const numbers: number[] = [];
  const recordNumbers: number[] = [];
  let lost = 0;
  const record = emptyJournalRecord();
  let cursor = { segmentId: 0, generation: -1, offset: 0, recordNumber: 0 };
  for (;;) {
    const result = disk.read(cursor, 1 << 20);
    if (result.atEnd) return { numbers, recordNumbers, lost };
    const source = Buffer.from(result.bytes);
    let start = 0;
    for (const [index, end] of result.ends.entries()) {
      expect(decodeRecord(source, start, end, record)).toBe(true);
      const number = numberOf(record.value);
      const { record: expected, meta } = numbered(number);
      expect(record).toMatchObject({ ...meta, topic: expected.topic, timestampMs: expected.timestampMs });
      expect(Buffer.compare(record.key!, expected.key!)).toBe(0);
      expect(Buffer.compare(record.value!, expected.value!)).toBe(0);
      numbers.push(number);
      recordNumbers.push(result.recordNumbers[index]!);
      start = end;
    }
    for (const damage of result.damage) lost += damage.lostRecords;
    cursor = result.next;
  }
}

/** Three groups of a few records, as a killed process leaves them; the segment's file is cut to its data. */
function written(settings: Partial<DiskSettings>): MemoryFs {
  const fs = new MemoryFs();
  const { disk, settings: all } = diskOn(fs, settings);
  disk.open(all);
  disk.commit([chunkOf([0, 1, 2])]);
  disk.commit([chunkOf([3, 4]), chunkOf([5])]);
  disk.commit([chunkOf([6, 7, 8])]);
  fs.kill();
  // Nothing but the segment: what is proved here does not lean on the checkpoint.
  for (const path of fs.paths()) if (path !== SEGMENT) fs.remove(path);
  const file = fs.open(SEGMENT, 'write');
  const probe = fs.clone();
  const opened = diskOn(probe, settings);
  opened.disk.open(opened.settings);
  file.truncate(probe.content(SEGMENT).length);
  return fs;
}

const MIDDLE = '/a/000000000002.segment';

/** Three segments of three records, which one process wrote and left when it was killed. */
function amongOthers(settings: Partial<DiskSettings>): { readonly fs: MemoryFs; readonly records: number } {
  const fs = new MemoryFs();
  let nowMs = 1_700_000_000_000;
  const disk = new JournalDisk(fs, () => nowMs);
  const { settings: all } = diskOn(fs, settings);
  disk.open(all);
  for (const first of [0, 3, 6]) {
    disk.commit([chunkOf([first, first + 1, first + 2])]);
    nowMs += all.segmentMaxAgeMs;
  }
  disk.checkpoint([], [], '', { from: 0, nextOrdinal: 1 });
  fs.kill();
  return { fs, records: 9 };
}

process.env.JOURNAL_TEST_KEY = 'ab'.repeat(32);

describe.each<[string, Partial<DiskSettings>]>([
  ['in the clear', {}],
  ['encrypted', { key: { environment: 'JOURNAL_TEST_KEY' } }],
])('a damaged segment, %s', (_name, settings) => {
  const original = written(settings);
  const size = original.content(SEGMENT).length;
  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8];

  it('truncated at any byte, gives back a beginning of what was written, in order, and never a wrong record', () => {
    let most = 0;
    for (let length = 0; length <= size; length++) {
      const fs = original.clone();
      fs.put(SEGMENT, original.content(SEGMENT).subarray(0, length));
      const { disk, settings: opened } = diskOn(fs, settings);
      const { report } = disk.open(opened);
      const { numbers, recordNumbers } = readBack(disk);
      expect(numbers).toEqual(all.slice(0, numbers.length));
      expect(recordNumbers).toEqual(numbers);
      expect(numbers.length).toBeGreaterThanOrEqual(most);
      expect(report.damage).toEqual([]);
      most = numbers.length;
    }
    expect(most).toBe(9);
  });

  it('with any bit flipped, loses at most what the bit was in, says how much, and never gives a wrong record', () => {
    for (let at = 0; at < size; at++) {
      // Sealed or not makes no difference to the header's unused room, and costs time.
      if (settings.key !== undefined && at < HEADER_BYTES && at % 4096 > 300) continue;
      const fs = original.clone();
      const bytes = Buffer.from(original.content(SEGMENT));
      bytes[at] = bytes[at]! ^ (1 << (at % 8));
      fs.put(SEGMENT, bytes);
      const { disk, settings: opened } = diskOn(fs, settings);
      const { report } = disk.open(opened);
      const { numbers, recordNumbers } = readBack(disk);
      const lost = report.damage.reduce((sum, damage) => sum + damage.lostRecords, 0);
      expect(recordNumbers, `byte ${at}`).toEqual(numbers);
      expect([...numbers].sort((a, b) => a - b)).toEqual(numbers);
      // Nothing is lost silently: what is missing is what was reported.
      expect(numbers.length + lost, `byte ${at}`).toBe(9);
      expect(lost).toBeLessThanOrEqual(settings.key === undefined ? 1 : 3);
      if (at < HEADER_BYTES) expect(lost).toBe(0);
    }
    // Ten thousand journals are opened: where others use the processor too, that takes a while.
  }, 60_000);

  it('finds its records under a header of which either copy is destroyed', () => {
    for (const offset of [0, 4096]) {
      const fs = original.clone();
      const bytes = Buffer.from(original.content(SEGMENT));
      bytes.fill(0xee, offset, offset + 4096);
      fs.put(SEGMENT, bytes);
      const { disk, settings: opened } = diskOn(fs, settings);
      disk.open(opened);
      expect(readBack(disk).numbers).toEqual(all);
    }
  });

  it('without a header is set aside and reported, and the journal opens', () => {
    const fs = original.clone();
    const bytes = Buffer.from(original.content(SEGMENT));
    bytes.fill(0xee, 0, HEADER_BYTES);
    fs.put(SEGMENT, bytes);
    const { disk, settings: opened } = diskOn(fs, settings);
    const { report } = disk.open(opened);
    expect(report.setAside).toEqual([`${SEGMENT}.damaged`]);
    expect(report.damage).toHaveLength(1);
    expect(fs.content(`${SEGMENT}.damaged`).length).toBe(size);
  });

  it('between two others, truncated at any byte or its header destroyed, loses what it says and no record of theirs', () => {
    const { fs: three, records } = amongOthers(settings);
    const bytes = three.content(MIDDLE);
    const damaged: Buffer[] = [];
    for (let length = 0; length < bytes.length; length++) {
      const isUnusedRoom = length < HEADER_BYTES && length % 4096 > 300;
      if (!isUnusedRoom || length % 32 === 0) damaged.push(bytes.subarray(0, length));
    }
    const truncations = damaged.length;
    for (let at = 0; at < 256; at++) {
      const flipped = Buffer.from(bytes);
      for (const copy of [at, at + 4096]) flipped[copy] = flipped[copy]! ^ (1 << (at % 8));
      damaged.push(flipped);
    }
    for (const withCheckpoint of [true, false]) {
      for (const [index, content] of damaged.entries()) {
        const fs = three.clone();
        fs.put(MIDDLE, content);
        if (!withCheckpoint) for (const path of fs.paths()) if (path.includes('checkpoint')) fs.remove(path);
        const { disk, settings: opened } = diskOn(fs, settings);
        const { report } = disk.open(opened);
        const { numbers, lost } = readBack(disk);
        const reported = lost + report.damage.reduce((sum, damage) => sum + damage.lostRecords, 0);
        expect([...numbers].sort((a, b) => a - b)).toEqual(numbers);
        expect(numbers.filter((number) => number < 3 || number >= 6)).toEqual([0, 1, 2, 6, 7, 8]);
        expect(numbers.length + reported, `damage ${index}`).toBe(records);
        if (index >= truncations) expect(report.setAside).toEqual([`${MIDDLE}.damaged`]);
      }
    }
  });

  it('with any stretch overwritten by zeros or noise, gives back the rest in order', () => {
    for (let from = HEADER_BYTES; from < size; from += 13) {
      for (const length of [5, 60, 200]) {
        for (const filler of [0, 0xa7]) {
          const fs = original.clone();
          const bytes = Buffer.from(original.content(SEGMENT));
          bytes.fill(filler, from, Math.min(size, from + length));
          fs.put(SEGMENT, bytes);
          const { disk, settings: opened } = diskOn(fs, settings);
          const { report } = disk.open(opened);
          const { numbers, recordNumbers } = readBack(disk);
          expect(recordNumbers).toEqual(numbers);
          expect([...numbers].sort((a, b) => a - b)).toEqual(numbers);
          const lost = report.damage.reduce((sum, damage) => sum + damage.lostRecords, 0);
          // What ends in the last group may be its torn tail: the checkpoint would know, and is not here.
          if (from + length < size - 250) expect(numbers.length + lost).toBe(9);
        }
      }
    }
  });
});

describe('an encrypted segment', () => {
  it('holds nothing that can be read without the key', () => {
    const settings = { key: { environment: 'JOURNAL_TEST_KEY' } };
    const bytes = written(settings).content(SEGMENT);
    for (const text of ['device-', 'topic-', 'meter']) expect(bytes.includes(text)).toBe(false);
    expect(written({}).content(SEGMENT).includes('device-')).toBe(true);
  });

  it('is refused with another key, and without one, by an error that says so', () => {
    const fs = written({ key: { environment: 'JOURNAL_TEST_KEY' } });
    process.env.JOURNAL_OTHER_KEY = 'cd'.repeat(32);
    for (const key of [undefined, { environment: 'JOURNAL_OTHER_KEY' }]) {
      const { disk, settings } = diskOn(fs.clone(), { key });
      expect(() => disk.open(settings)).toThrow(expect.objectContaining({ code: 'JOURNAL_KEY' }));
    }
  });
});

describe('a journal of a newer version', () => {
  it('is refused by an error that says so, and left as it is', () => {
    const fs = written({});
    const bytes = Buffer.from(fs.content(SEGMENT));
    for (const copy of [0, 4096]) {
      bytes.writeUInt16LE(2, copy + 8);
      bytes.writeUInt32LE(crc32(bytes.subarray(copy, copy + 252)), copy + 252);
    }
    fs.put(SEGMENT, bytes);
    const { disk, settings } = diskOn(fs);
    expect(() => disk.open(settings)).toThrow(expect.objectContaining({ code: 'JOURNAL_VERSION' }));
    expect(fs.content(SEGMENT).equals(bytes)).toBe(true);
  });
});

describe('a reused segment file', () => {
  it('never shows what it held before, however its new life ended', () => {
    const fs = new MemoryFs();
    const { disk, settings } = diskOn(fs);
    disk.open(settings);
    // Fills the first segment well, so that it is kept as a spare.
    for (let number = 0; number < 120; number++) disk.commit([chunkOf([number], 400)]);
    disk.checkpoint([], [1], '', { from: 0, nextOrdinal: 1 });
    const old = Buffer.from(fs.content('/a/spare'));
    expect(old.length).toBeGreaterThan(40_000);
    let next = 120;
    while (fs.paths().includes('/a/spare')) disk.commit([chunkOf([next++], 400)]);
    disk.commit([chunkOf([next++], 400), chunkOf([next++], 400)]);
    const reused = fs.paths().findLast((path) => path.endsWith('.segment'))!;
    const fresh = Buffer.from(fs.content(reused));
    // Same sizes in both lives: frames stand exactly where frames stood.
    let end = HEADER_BYTES;
    while (fresh[end] !== old[end] || fresh.compare(old, end, end + 40, end, end + 40) !== 0) end++;

    for (let cut = 1; cut <= end; cut += cut < HEADER_BYTES ? 97 : 7) {
      // The new life's bytes up to `cut`, the old life's behind: a torn write.
      const torn = fs.clone();
      torn.put(reused, Buffer.concat([fresh.subarray(0, cut), old.subarray(cut)]));
      for (const path of torn.paths()) if (path.includes('checkpoint')) torn.remove(path);
      const again = diskOn(torn);
      again.disk.open(again.settings);
      const { numbers } = readBackSizes(again.disk);
      expect(numbers).toEqual(numbers.map((_, index) => numbers[0]! + index));
      expect(numbers.at(-1)).toBeLessThan(next);
      // The first segment's records are gone, and stay gone.
      expect(numbers[0]).toBeGreaterThan(90);
    }
  }, 120_000);
});

function readBackSizes(disk: JournalDisk): { numbers: number[] } {
  const numbers: number[] = [];
  const record = emptyJournalRecord();
  let cursor = { segmentId: 0, generation: -1, offset: 0, recordNumber: 0 };
  for (;;) {
    const result = disk.read(cursor, 1 << 20);
    if (result.atEnd) return { numbers };
    const source = Buffer.from(result.bytes);
    let start = 0;
    for (const end of result.ends) {
      decodeRecord(source, start, end, record);
      numbers.push(numberOf(record.value));
      start = end;
    }
    cursor = result.next;
  }
}
