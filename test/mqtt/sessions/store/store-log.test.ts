import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../../../src/core/logger.ts';
import { DEFAULT_LIMITS } from '../../../../src/mqtt/limits.ts';
import { KeptState } from '../../../../src/mqtt/sessions/kept-state.ts';
import { encodeHeader, HEADER_BYTES } from '../../../../src/durable-log/file-header.ts';
import { IngressStats } from '../../../../src/mqtt/stats.ts';
import { openStore, type OpenStore } from '../../../../src/mqtt/sessions/store/open-store.ts';
import {
  decodeRecord,
  encodeRecord,
  type StoreRecord,
} from '../../../../src/mqtt/sessions/store/store-record.ts';
import { NodeLogDirectory, type LogDirectory } from '../../../../src/durable-log/log-directory.ts';
import { RecordingLogger, TestClock } from '../../harness.ts';
import { MemoryDirectory } from '../../../durable-log/memory-directory.ts';

interface Opened {
  readonly state: KeptState;
  readonly store: OpenStore;
  readonly logger: RecordingLogger;
  readonly stats: IngressStats;
  /** Makes a change in memory, and notes it. */
  change(record: StoreRecord): void;
  synced(): Promise<void>;
}

async function open(directory: LogDirectory): Promise<Opened> {
  const stats = new IngressStats();
  const state = new KeptState(DEFAULT_LIMITS, stats);
  const logger = new RecordingLogger();
  const store = await openStore({ directory, state, clock: new TestClock(), logger });
  return {
    state,
    store,
    logger,
    stats,
    change(record) {
      state.apply(record);
      store.log.append(record);
    },
    synced: () =>
      new Promise((resolve) => {
        store.log.whenSynced(resolve);
      }),
  };
}

/** All that is kept, in short. */
const contents = ({ state }: Opened): string[] =>
  [...state.snapshot()].flat().map((record) => {
    const bytes = encodeRecord(record);
    return `${record.kind} ${bytes.length} ${crc32(bytes)}`;
  });

const message = (payload: string | Buffer, more: object = {}) => ({
  topic: 'a/b',
  payload: Buffer.from(payload),
  qos: 1 as const,
  expiresAtMs: Number.POSITIVE_INFINITY,
  reference: undefined,
  ...more,
});

const clientId = fc.constantFrom('a', 'b', 'ü✓', 'd');
const packetId = fc.integer({ min: 1, max: 3 });
const queueNumber = fc.integer({ min: 1, max: 12 });
const stored = fc.record({
  topic: fc.constantFrom('x', 'y/z', ''),
  payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  expiresAtMs: fc.constantFrom(Number.POSITIVE_INFINITY, 1_700_000_000_000),
  reference: fc.constantFrom(undefined, '', 'commands/3/4711'),
});
const filter = fc.constantFrom('#', 'a/+', 'b');
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const reason = fc.constantFrom('expired' as const, 'no-session' as const);
const absentSinceMs = fc.constantFrom(0, 1_700_000_000_123);
const anyRecord: fc.Arbitrary<StoreRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('session' as const),
    clientId,
    absentSinceMs,
    settledPublication: queueNumber,
  }),
  fc.record({ kind: fc.constant('absent' as const), clientId, absentSinceMs }),
  fc.record({ kind: fc.constant('ended' as const), clientId }),
  fc.record({ kind: fc.constant('subscribed' as const), clientId, filter, qos }),
  fc.record({ kind: fc.constant('unsubscribed' as const), clientId, filter }),
  fc.record({ kind: fc.constant('queued' as const), clientId, queueNumber, message: stored }),
  fc.record({ kind: fc.constant('sent' as const), clientId, queueNumber, packetId }),
  fc.record({ kind: fc.constant('received' as const), clientId, queueNumber }),
  fc.record({ kind: fc.constant('removed' as const), clientId, queueNumber }),
  fc.record({ kind: fc.constant('taken' as const), clientId, packetId, publicationNumber: queueNumber }),
  fc.record({ kind: fc.constant('released' as const), clientId, packetId }),
  fc.record({ kind: fc.constant('abandoned' as const), clientId, queueNumber, reason, message: stored }),
  fc.record({ kind: fc.constant('forgotten' as const), queueNumber }),
  fc.record({ kind: fc.constant('retained' as const), message: stored }),
);

describe('a record of the session store', () => {
  it('is read as it was written, whatever it says', () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        expect(decodeRecord(encodeRecord(record))).toEqual(record);
      }),
    );
  });

  it('that is cut off or of another kind is refused, not misread', () => {
    const bytes = encodeRecord({ kind: 'queued', clientId: 'a', queueNumber: 1, message: message('x') });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeRecord(bytes.subarray(0, length))).toThrow(RangeError);
    }
    expect(() => decodeRecord(Buffer.of(200, 0, 0))).toThrow(RangeError);
  });
});

describe('the store of sessions', () => {
  it('has after a crash at any moment what was synced, whatever happened, snapshots in between included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 8, arbitrary: anyRecord }, fc.constant('sync' as const)), {
          minLength: 1,
          maxLength: 60,
        }),
        fc.constantFrom(0, 0.3, 1),
        async (steps, share) => {
          const directory = new MemoryDirectory();
          let opened = await open(directory);
          for (const step of steps) {
            if (step === 'sync') await opened.synced();
            // What only the newest generation of the state could mean is not written by anybody.
            else if (!isDuplicate(opened, step)) opened.change(step);
          }
          await opened.synced();
          const expected = contents(opened);
          const crashed = directory.afterCrash(share);
          opened = await open(crashed);
          expect(contents(opened)).toEqual(expected);
          await opened.store.close(Promise.resolve());
        },
      ),
      { numRuns: 150 },
    );
  });

  it('stays small: changes that cancel each other out are not kept for ever', async () => {
    const directory = new MemoryDirectory();
    const opened = await open(directory);
    opened.change({ kind: 'session', clientId: 'a', absentSinceMs: 0, settledPublication: 0 });
    const payload = 'x'.repeat(100_000);
    for (let turn = 1; turn <= 300; turn++) {
      opened.change({ kind: 'queued', clientId: 'a', queueNumber: turn, message: message(payload) });
      opened.change({ kind: 'removed', clientId: 'a', queueNumber: turn });
      opened.change({ kind: 'taken', clientId: 'a', packetId: turn, publicationNumber: 1 });
      if (turn % 10 === 0) await opened.synced();
    }
    await opened.synced();
    await opened.store.close(new Promise(() => {}));
    const bytes = [...directory.files.values()].reduce((sum, file) => sum + file.bytes.length, 0);
    expect(bytes).toBeLessThan(20_000_000);
    const again = await open(directory.afterCrash());
    expect(again.state.mailboxes.get('a')?.takenIds?.size).toBe(300);
    expect(again.stats.queuedMessages).toBe(0);
  });

  it('writes a snapshot beside the changes, and loses none of them', async () => {
    const directory = new MemoryDirectory();
    const opened = await open(directory);
    const payload = Buffer.alloc(200_000, 'x');
    for (const id of Array.from({ length: 60 }, (_, index) => `client ${index}`)) {
      opened.change({ kind: 'session', clientId: id, absentSinceMs: 0, settledPublication: 0 });
      opened.change({ kind: 'queued', clientId: id, queueNumber: 1, message: message(payload) });
      opened.change({ kind: 'taken', clientId: id, packetId: 1, publicationNumber: 1 });
    }
    await opened.synced();
    const firstFile = [...directory.files.keys()];
    // Each of these changes falls somewhere into the writing of the next file.
    for (let round = 0; round < 60; round++) {
      const id = `client ${(round * 7) % 60}`;
      opened.change({ kind: 'released', clientId: id, packetId: 1 });
      opened.change({ kind: 'removed', clientId: id, queueNumber: 1 });
      opened.change({ kind: 'queued', clientId: id, queueNumber: 2 + round, message: message(`${round}`) });
      if (round % 3 === 0) opened.change({ kind: 'ended', clientId: `client ${(round * 11) % 60}` });
      await opened.synced();
      if (round % 4 !== 0) continue;
      const crashed = await open(directory.afterCrash());
      expect(contents(crashed)).toEqual(contents(opened));
    }
    expect([...directory.files.keys()]).not.toEqual(firstFile);
  });

  it('writes a snapshot in place of changes that a hanging disk has let pile up', async () => {
    const directory = new MemoryDirectory();
    const opened = await open(directory);
    opened.change({ kind: 'session', clientId: 'a', absentSinceMs: 0, settledPublication: 0 });
    await opened.synced();
    directory.hang();
    const payload = Buffer.alloc(1_000_000);
    for (let turn = 1; turn <= 100; turn++) {
      opened.change({ kind: 'queued', clientId: 'a', queueNumber: turn, message: message(payload) });
      opened.change({ kind: 'removed', clientId: 'a', queueNumber: turn });
    }
    opened.change({ kind: 'taken', clientId: 'a', packetId: 7, publicationNumber: 1 });
    directory.goOn();
    await opened.synced();
    const bytes = [...directory.files.values()].reduce((sum, file) => sum + file.bytes.length, 0);
    expect(bytes).toBeLessThan(40_000_000);
    expect(contents(await open(directory.afterCrash()))).toEqual(contents(opened));
  });
});

/** A change that the store itself never makes: an identifier or number that is in use already. */
function isDuplicate({ state }: Opened, record: StoreRecord): boolean {
  const mailbox = 'clientId' in record ? state.mailboxes.get(record.clientId) : undefined;
  if (record.kind === 'queued') return mailbox?.queue.get(record.queueNumber) !== undefined;
  if (record.kind === 'sent') return mailbox?.sent.has(record.packetId) ?? true;
  if (record.kind === 'received') return mailbox?.queue.get(record.queueNumber)?.messageId === undefined;
  return false;
}

describe('a damaged store', () => {
  async function filled(): Promise<MemoryDirectory> {
    const directory = new MemoryDirectory();
    const opened = await open(directory);
    for (const id of ['a', 'b', 'c']) {
      opened.change({ kind: 'session', clientId: id, absentSinceMs: 0, settledPublication: 0 });
      opened.change({ kind: 'subscribed', clientId: id, filter: `to/${id}`, qos: 1 });
      opened.change({ kind: 'taken', clientId: id, packetId: 1, publicationNumber: 1 });
    }
    await opened.synced();
    return directory.afterCrash();
  }
  const onlyFile = (directory: MemoryDirectory): Buffer => [...directory.files.values()][0]!.bytes;

  it('costs what is damaged, is reported and set aside; the rest counts', async () => {
    const directory = await filled();
    const bytes = onlyFile(directory);
    bytes[bytes.indexOf('to/b')]! ^= 0xff;
    const opened = await open(directory);
    const filters = [...opened.state.mailboxes.values()].flatMap(({ subscriptions }) => [
      ...subscriptions.keys(),
    ]);
    expect(filters).toEqual(['to/a', 'to/c']);
    expect(opened.logger.lines).toMatchObject([
      { level: 'error', fields: { file: expect.stringMatching(/\.damaged$/) as string } },
    ]);
    expect([...directory.files.keys()].filter((name) => name.endsWith('.damaged'))).toHaveLength(1);
  });

  it('forgets which QoS 2 identifiers are taken: rather produced twice than taken for a repeat', async () => {
    const directory = await filled();
    const bytes = onlyFile(directory);
    bytes[bytes.indexOf('to/b')]! ^= 0xff;
    const opened = await open(directory);
    expect([...opened.state.mailboxes.values()].map(({ takenIds }) => takenIds)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('with a torn end is not damaged: the last write was promised to nobody', async () => {
    const directory = await filled();
    const [name] = [...directory.files.keys()] as [string];
    const { bytes } = directory.files.get(name)!;
    directory.files.set(name, { bytes: bytes.subarray(0, bytes.length - 3), synced: 0 });
    const opened = await open(directory);
    expect(opened.state.mailboxes.size).toBe(3);
    expect(opened.logger.lines).toMatchObject([{ level: 'warn' }]);
  });

  it('never keeps the gateway from starting, wherever bytes are changed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 5 }),
        fc.nat({ max: 300 }),
        async (changes, cut) => {
          const directory = await filled();
          const [name] = [...directory.files.keys()] as [string];
          const { bytes } = directory.files.get(name)!;
          for (const [at, mask] of changes) bytes[at % bytes.length]! ^= mask;
          const rest = Buffer.from(bytes.subarray(0, Math.max(0, bytes.length - cut)));
          directory.files.set(name, { bytes: rest, synced: 0 });
          const opened = await open(directory);
          opened.change({ kind: 'session', clientId: 'new', absentSinceMs: 0, settledPublication: 0 });
          await opened.synced();
          const after = await open(directory.afterCrash());
          expect(contents(after)).toEqual(contents(opened));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is not fooled by a payload that looks like its own frames', async () => {
    const directory = new MemoryDirectory();
    const opened = await open(directory);
    opened.change({ kind: 'session', clientId: 'a', absentSinceMs: 0, settledPublication: 0 });
    await opened.synced();
    const forged = Buffer.from([...directory.files.values()][0]!.bytes.subarray(HEADER_BYTES));
    const other = new MemoryDirectory();
    const victim = await open(other);
    victim.change({ kind: 'retained', message: message(Buffer.concat([Buffer.alloc(50), forged])) });
    victim.change({ kind: 'retained', message: message('sound', { topic: 'other' }) });
    await victim.synced();
    const crashed = other.afterCrash();
    const bytes = onlyFile(crashed);
    bytes[bytes.indexOf('a/b')]! ^= 0xff;
    const again = await open(crashed);
    expect(again.state.mailboxes.size).toBe(0);
    expect(again.state.retained.get('other')).toBeDefined();
  });
});

describe('the folder of sessions', () => {
  it('that a newer version has written to is refused and left as it is: no session is thrown away', async () => {
    const directory = await newer(7);
    const before = [...directory.files].map(([name, { bytes }]) => [name, Buffer.from(bytes)]);
    const [name] = [...directory.files.keys()] as [string];
    await expect(open(directory)).rejects.toMatchObject({
      code: 'SESSIONS_VERSION',
      message: expect.stringMatching(
        new RegExp(`${name} in format 7, .* reads up to 2.* mqtt\\.sessions\\.directory`),
      ) as string,
    });
    expect([...directory.files].map(([name, { bytes }]) => [name, bytes])).toEqual(before);
    expect(directory.locked).toBe(false);
  });

  it('that can not be used keeps the gateway from starting, and says what to do', async () => {
    const state = new KeptState(DEFAULT_LIMITS, new IngressStats());
    const options = { state, clock: new TestClock(), logger: silentLogger };
    await expect(
      openStore({
        ...options,
        directory: new NodeLogDirectory('/dev/null/sessions'),
      }),
    ).rejects.toMatchObject({
      code: 'SESSIONS_UNAVAILABLE',
      message: expect.stringContaining('mqtt.sessions.store: memory') as string,
    });
  });

  it('keeps files on a real disk, belongs to one gateway at a time, and is read by the next', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-sessions-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const directory = (): NodeLogDirectory => new NodeLogDirectory(join(folder, 'new'));
    const first = await open(directory());
    first.change({ kind: 'session', clientId: 'a', absentSinceMs: 0, settledPublication: 0 });
    first.change({ kind: 'queued', clientId: 'a', queueNumber: 1, message: message('x') });
    await first.synced();
    await expect(open(directory())).rejects.toMatchObject({
      code: 'SESSIONS_LOCKED',
      message: expect.stringContaining('mqtt.sessions.directory') as string,
    });
    await first.store.close(new Promise(() => {}));
    const second = await open(directory());
    expect(contents(second)).toEqual(contents(first));
    await second.store.close(new Promise(() => {}));
  });
});

/** A store whose latest file says that it has another format. */
async function newer(version: number): Promise<MemoryDirectory> {
  const directory = new MemoryDirectory();
  const opened = await open(directory);
  await opened.store.close(Promise.resolve());
  const [content] = [...directory.files.values()];
  const header = encodeHeader({ magic: 'SLUICESS', version }, { crcSeed: 1, mark: Buffer.alloc(8) });
  header.copy(content!.bytes);
  return directory;
}
