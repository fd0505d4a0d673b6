import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEADER_BYTES } from '../../../src/durable-log/file-header.ts';
import { silentLogger } from '../../../src/core/logger.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { NO_HEADERS } from '../../../src/core/record.ts';
import type { RecordError, RecordSink } from '../../../src/delivery/ports.ts';
import {
  type AuditEntry,
  BlockWriter,
  digestOf,
  readBlock,
} from '../../../src/features/audit/audit-block.ts';
import { type AuditedResult, AuditLog, type AuditLogOptions } from '../../../src/features/audit/audit-log.ts';
import { AuditedSink } from '../../../src/features/audit/audit-trail.ts';
import { Comparison, type Difference } from '../../../src/features/audit/comparison.ts';
import { type AuditItem, readAuditLog } from '../../../src/features/audit/log-reader.ts';
import { MemoryDirectory } from '../../durable-log/memory-directory.ts';
import { until } from '../../support/until.ts';

const entry = fc.record({
  timeMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  topic: fc.constantFrom('telemetry', 'telemetry.dlq'),
  partition: fc.nat(7),
  offset: fc.oneof(fc.constant(-1), fc.nat(), fc.integer({ min: 0, max: 2 ** 51 })),
  key: fc.option(fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))),
  digest: fc.nat(0xffff_ffff),
});

describe('a block of entries', () => {
  it('is read as what was written, long keys cut off', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 50 }), (entries) => {
        const block = new BlockWriter(65_536);
        for (const { timeMs, topic, partition, offset, key, digest } of entries) {
          expect(block.add(timeMs, topic, partition, offset, key, digest)).toBe(true);
        }
        const expected = entries.map((one) => ({ ...one, key: one.key?.subarray(0, 128) ?? null }));
        expect([...readBlock(block.finish())]).toEqual(expected);
        block.clear();
        expect([...readBlock(block.finish())]).toEqual([]);
      }),
    );
  });
});

/** A clock whose timers run when they are told to. */
class Timers {
  callbacks: (() => void)[] = [];
  nowMs = 1_700_000_000_000;
  readonly clock = {
    wallMs: () => this.nowMs,
    monotonicMs: () => this.nowMs,
    schedule: (callback: () => void) => {
      this.callbacks.push(callback);
      return () => {
        this.callbacks = this.callbacks.filter((one) => one !== callback);
      };
    },
  };

  fire(): void {
    for (const callback of this.callbacks.splice(0)) callback();
  }
}

function setUp(options: Partial<AuditLogOptions> = {}) {
  const files = new MemoryDirectory();
  const timers = new Timers();
  const errors: string[] = [];
  const log = new AuditLog({
    directory: files,
    maxBytes: 1_000_000,
    segmentBytes: 100_000,
    bufferBytes: 65_536,
    syncIntervalMs: 1_000,
    clock: timers.clock,
    logger: { ...silentLogger, error: (_, message) => errors.push(message) },
    ...options,
  });
  return { files, timers, log, errors };
}

function batch(baseOffset: number, values: readonly string[]): AuditedResult {
  return {
    topic: 'telemetry',
    partition: 3,
    baseOffset: BigInt(baseOffset),
    record: (index) => ({ key: Buffer.from('d1'), value: Buffer.from(values[index]!) }),
  };
}

function add(log: AuditLog, baseOffset: number, values: readonly string[]): void {
  const result = batch(baseOffset, values);
  values.forEach((_, index) => {
    log.add(result, index);
  });
}

async function items(files: MemoryDirectory): Promise<AuditItem[]> {
  const all: AuditItem[] = [];
  for await (const item of readAuditLog(files)) all.push(item);
  return all;
}

async function offsets(files: MemoryDirectory): Promise<number[]> {
  return (await items(files)).flatMap((item) =>
    item.kind === 'entries' ? item.entries.map(({ offset }) => offset) : [],
  );
}

const metric = (log: AuditLog, name: string) =>
  log
    .metrics()
    .find((one) => one.name === name)!
    .read();

describe('the audit log', () => {
  it('holds where each acknowledged record lies, and a digest of it', async () => {
    const { files, timers, log } = setUp();
    add(log, 100, ['a', 'b']);
    add(log, -1, ['c']);
    timers.fire();
    await log.close();
    const [item] = await items(files);
    const expected: AuditEntry[] = [[100, 'a'] as const, [101, 'b'] as const, [-1, 'c'] as const].map(
      ([offset, value]) => ({
        timeMs: 1_700_000_000_000,
        topic: 'telemetry',
        partition: 3,
        offset,
        key: Buffer.from('d1'),
        digest: digestOf(Buffer.from('d1'), Buffer.from(value)),
      }),
    );
    expect(item).toEqual({ kind: 'entries', entries: expected });
  });

  it('loses to a loss of power only what was not synced, and that is never judged', async () => {
    const { files, timers, log } = setUp();
    add(log, 0, ['a', 'b']);
    timers.fire();
    await until(() => metric(log, 'sluice_audit_entries_total') === 2, { what: 'the first block' });
    let release = () => {};
    files.fault = (operation) =>
      operation === 'sync' ? new Promise<void>((done) => (release = done)) : undefined;
    add(log, 2, ['c']);
    timers.fire();
    await until(() => [...files.files.values()][0]!.bytes.length > HEADER_BYTES + 200, {
      what: 'the second block',
    });
    // Written, and nobody knows whether it is synced: there, and not judged.
    expect(await offsets(files)).toEqual([0, 1]);
    expect((await items(files)).at(-1)).toMatchObject({ kind: 'unsynced' });
    files.powerLoss();
    // The mark behind the first block was not synced itself: the block goes unjudged, and that is said.
    expect(await items(files)).toMatchObject([{ kind: 'unsynced' }]);
    release();
    await log.close();
  });

  it('lets an audit name nothing as missing that was acknowledged and not synced when the power went', async () => {
    const { files, timers, log } = setUp();
    add(log, 0, ['a']);
    timers.fire();
    await until(() => metric(log, 'sluice_audit_writing') === 0, { what: 'the first block' });
    add(log, 1, ['b']);
    timers.fire();
    await until(() => metric(log, 'sluice_audit_writing') === 0, { what: 'the second block' });
    // In memory, and then in a block whose sync never returns: Kafka lost both, and nobody can say what they were.
    files.fault = (operation) => (operation === 'sync' ? new Promise<void>(() => {}) : undefined);
    const written = [...files.files.values()][0]!;
    const bytesBefore = written.bytes.length;
    add(log, 2, ['c']);
    timers.fire();
    await until(() => written.bytes.length > bytesBefore, { what: 'the third block' });
    add(log, 3, ['d']);

    // A Kafka that has lost everything: what is judged is missing, and nothing else is.
    const missing: Difference[] = [];
    const comparison = new Comparison(
      {
        describe: () => Promise.resolve({ partitions: Array(4).fill({ begin: 0, end: 0 }) }),
        async *read() {},
      },
      (difference) => missing.push(difference),
    );
    for (const item of await items(files))
      if (item.kind === 'entries') await comparison.compare(item.entries);
    await comparison.finish();
    expect(missing.map(({ kind, entry: { offset } }) => [kind, offset])).toEqual([
      ['missing', 0],
      ['missing', 1],
    ]);
    expect(comparison.judged).toBe(2);
    expect((await items(files)).at(-1)).toMatchObject({ kind: 'unsynced' });
  });

  it('says which entries it could not write, goes on in a new segment, and does not judge them', async () => {
    const { files, timers, log, errors } = setUp();
    add(log, 0, ['a']);
    timers.fire();
    await until(() => metric(log, 'sluice_audit_entries_total') === 1, { what: 'the first block' });
    files.fault = () => Promise.reject(new Error('ENOSPC: no space left on device'));
    add(log, 1, ['b', 'c']);
    timers.fire();
    await until(() => log.failure !== undefined, { what: 'the failure' });
    expect(log.failure).toContain('ENOSPC');
    expect(errors).toHaveLength(1);
    files.fault = undefined;
    add(log, 3, ['d']);
    timers.fire();
    await until(() => log.failure === undefined, { what: 'the recovery' });
    await log.close();
    expect(await offsets(files)).toEqual([0, 3]);
    expect(await items(files)).toContainEqual({
      kind: 'gap',
      gap: { fromMs: 1_700_000_000_000, toMs: 1_700_000_000_000, entries: 2 },
    });
    expect(files.files.size).toBe(2);
    expect(metric(log, 'sluice_audit_entries_left_out_total')).toBe(2);
  });

  it('takes no more memory than its buffer while the disk hangs, and counts what found no room', async () => {
    const { files, timers, log } = setUp({ bufferBytes: 65_536 });
    let release = () => {};
    files.fault = () => new Promise<void>((done) => (release = done));
    for (let n = 0; n < 20_000; n++) add(log, n, ['x']);
    const leftOut = metric(log, 'sluice_audit_entries_left_out_total') as number;
    expect(leftOut).toBeGreaterThan(10_000);
    files.fault = undefined;
    release();
    timers.fire();
    await log.close();
    const written = await offsets(files);
    expect(written.length + leftOut).toBe(20_000);
    expect(written).toEqual(Array.from({ length: written.length }, (_, n) => n));
    const gaps = (await items(files)).flatMap((item) => (item.kind === 'gap' ? [item.gap.entries] : []));
    expect(gaps.reduce((sum, count) => sum + count, 0)).toBe(leftOut);
  });

  it('stays within max.bytes by removing its oldest segments', async () => {
    const { files, timers, log } = setUp({ maxBytes: 60_000, segmentBytes: 10_000 });
    let seed = 1;
    for (let round = 0; round < 30; round++) {
      add(
        log,
        round * 100,
        Array.from({ length: 100 }, () => String((seed = (seed * 48_271) % 2_147_483_647))),
      );
      timers.nowMs += 1_000;
      timers.fire();
      await until(() => metric(log, 'sluice_audit_writing') === 0, { what: 'the write' });
      const bytes = (await files.list()).reduce((sum, file) => sum + file.bytes, 0);
      expect(bytes).toBeLessThanOrEqual(60_000 + 1_000);
    }
    await log.close();
    expect(files.files.size).toBeGreaterThan(3);
    const kept = await offsets(files);
    expect(kept.at(-1)).toBe(2_999);
    expect(kept[0]).toBeGreaterThan(0);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, n) => kept[0]! + n));
  });

  it.each([
    ['back to 1970', -1_700_000_000_000],
    ['ten years ahead, and then back', 10 * 31_557_600_000],
  ])('removes the oldest segments, and is read in order, also when the clock jumps %s', async (_, jumpMs) => {
    const { files, timers, log } = setUp({ maxBytes: 60_000, segmentBytes: 10_000 });
    let seed = 1;
    for (let round = 0; round < 30; round++) {
      const values = Array.from({ length: 100 }, () => String((seed = (seed * 48_271) % 2_147_483_647)));
      add(log, round * 100, values);
      timers.nowMs += round === 10 ? jumpMs : round === 20 && jumpMs > 0 ? -jumpMs : 1_000;
      timers.fire();
      await until(() => metric(log, 'sluice_audit_writing') === 0, { everyMs: 1, what: 'the write' });
    }
    await log.close();
    const kept = await offsets(files);
    expect(kept.at(-1)).toBe(2_999);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, n) => kept[0]! + n));
  });

  it('with a damaged byte anywhere says so, or judges less, and never judges something else', async () => {
    const { files, timers, log } = setUp();
    for (const base of [0, 10, 20]) {
      add(log, base, ['a', 'b', 'c']);
      timers.fire();
      await until(() => metric(log, 'sluice_audit_writing') === 0, { what: 'the write' });
    }
    await log.close();
    const [file] = [...files.files.values()];
    const sound = file!.bytes;
    const all = await offsets(files);
    // Of the header, what is not padding: its two copies stand for each other, and a cut one is no header.
    const copies = [0, 4096].flatMap((start) => Array.from({ length: 256 }, (_, at) => start + at));
    for (const at of copies) {
      file!.bytes = Buffer.from(sound);
      file!.bytes[at]! ^= 0x40;
      expect(await offsets(files)).toEqual(all);
      file!.bytes = sound.subarray(0, at);
      expect((await items(files)).every(({ kind }) => kind === 'unsynced')).toBe(true);
    }
    for (let at = HEADER_BYTES; at < sound.length; at++) {
      file!.bytes = Buffer.from(sound);
      file!.bytes[at]! ^= 0x40;
      const found = await items(files);
      const judged = await offsets(files);
      expect(all).toEqual(expect.arrayContaining(judged));
      const isSaid = found.some(({ kind }) => kind === 'damage' || kind === 'unsynced');
      expect(isSaid).toBe(true);
      file!.bytes = sound.subarray(0, at);
      expect(all.slice(0, (await offsets(files)).length)).toEqual(await offsets(files));
    }
  });
});

describe('a producer that is audited', () => {
  it('notes a record after whoever waits for it was told, and only what Kafka has', () => {
    const heard: string[] = [];
    let complete: ((error?: RecordError) => void) | undefined;
    const producer: RecordSink = {
      tryAppend(_record, target, token) {
        complete = (error) => {
          const noted = { topic: 't', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
          target.recordCompleted(token, { ...batch(7, ['x']), record: () => noted, error }, 0);
        };
        return undefined;
      },
    };
    const sink = new AuditedSink(producer, (result, index) => {
      heard.push(`noted ${Number(result.baseOffset) + index}`);
    });
    const target = {
      recordCompleted(token: number, { error }: { error: unknown }) {
        heard.push(`told ${token} ${error === undefined}`);
      },
    };
    const record = { topic: 't', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
    sink.tryAppend(record, target, 1);
    complete!();
    sink.tryAppend(record, target, 2);
    complete!(new SluiceError('TIMED_OUT', 'no'));
    expect(heard).toEqual(['told 1 true', 'noted 7', 'told 2 false']);
  });
});
