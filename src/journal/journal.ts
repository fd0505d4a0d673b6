import { type Clock, within } from '../core/clock.ts';
import type { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import type { FullPolicy } from '../core/profile/profile.ts';
import type { PublicationMemory } from '../core/publication.ts';
import type { SerializedRecord } from '../core/record.ts';
import { FRAME_HEADER_BYTES } from '../durable-log/frame.ts';
import { CommitLoop, type JournalTarget } from './commit-loop.ts';
import type { DiskPort, DiskState, Recalled, RecoveryReport } from './disk/disk-port.ts';
import { DiskThread } from './disk/disk-thread.ts';
import { JournalClosedError, JournalRecordError, JournalRecordTooLargeError } from './errors.ts';
import { type Backlog, FlowRates, type JournalHealth, journalMetrics, JournalStats } from './figures.ts';
import { JournalReader, type ReaderOptions } from './journal-reader.ts';
import { DROPPED, type Position, recordBoundBytes, recordFault, type RecordMeta } from './journal-record.ts';
import { Housekeeping } from './room/housekeeping.ts';
import { JournalRoom, type WaitingRoom } from './room/journal-room.ts';
import { SegmentBook } from './room/segment-book.ts';
import { type JournalSettings, type ResolvedSettings, resolveSettings } from './settings.ts';

/** Of a journal whose owner has nobody who needs to know. */
const NO_PUBLICATIONS: PublicationMemory = {
  nextPublicationNumber: 1,
  whenKept(callback) {
    callback();
  },
};

/** Why a record was not taken: something to wait for, or an error that will not go away. */
export type JournalRefusal = WaitingRoom | SluiceError;

export interface JournalOptions {
  readonly settings: JournalSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Kept with every checkpoint, and given back after a restart: the ledger's balances. */
  readonly note?: () => string;
  /** Who has to know of publications after a crash; the answer is undefined until it can be asked. */
  readonly publications?: () => PublicationMemory | undefined;
  /** Whether commits should wait a moment, because what else there is to do lacks processor time; left out, never. */
  readonly shouldYield?: () => boolean;
  /** What happens to an account's records when the journal is full; undefined: as the settings say. */
  readonly policyOf?: (account: string) => FullPolicy | undefined;
  /** Hears of records on the disk that policy drop-oldest gave up, by account. */
  readonly onDropped?: (account: string, records: number) => void;
  /** Hears of a record that damage took. */
  readonly onLost?: () => void;
  /** The disk's side; left out, a thread on the machine's own file system. */
  readonly disk?: DiskPort;
}

/**
 * Store and forward: takes finished records, says when they are on the disk, gives them back in order, and forgets
 * them when they are done. docs/journal.md says how, and what it promises.
 */
export class Journal {
  readonly stats = new JournalStats();
  readonly rates = new FlowRates();
  /** What was found at the start. */
  readonly recovery: RecoveryReport;
  /** The QoS 2 publications in it that their sessions may not know of, as found at the start. */
  readonly recalled: Recalled;
  /** The note of the last checkpoint before the start; empty if there was none. */
  readonly recoveredNote: string;
  readonly settings: ResolvedSettings;
  readonly #disk: DiskPort;
  readonly #clock: Clock;
  readonly #onLost: () => void;
  readonly #book = new SegmentBook();
  readonly #room: JournalRoom;
  readonly #policyOf: (account: string) => FullPolicy;
  readonly #commits: CommitLoop;
  readonly #housekeeping: Housekeeping;
  #readsWaiting: (() => void)[] = [];
  #lost: Error | undefined;
  #closed = false;
  #closing: Promise<void> | undefined;

  /**
   * Opens the journal, and recovers what a former process left in it.
   *
   * @throws JournalError: JOURNAL_LOCKED, JOURNAL_UNAVAILABLE, JOURNAL_VERSION, JOURNAL_KEY, JOURNAL_SETTINGS
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const settings = resolveSettings(options.settings);
    const disk = options.disk ?? new DiskThread();
    try {
      const opened = await disk.open(settings);
      return new Journal(options, settings, disk, opened);
    } catch (error) {
      await disk.close().catch(() => undefined);
      throw error;
    }
  }

  private constructor(
    options: JournalOptions,
    settings: ResolvedSettings,
    disk: DiskPort,
    opened: Awaited<ReturnType<DiskPort['open']>>,
  ) {
    const { clock, logger, policyOf, onDropped = () => {} } = options;
    this.settings = settings;
    this.recovery = opened.report;
    this.recoveredNote = opened.note;
    this.recalled = opened.recalled;
    this.#onLost = options.onLost ?? (() => {});
    this.#disk = disk;
    this.#clock = clock;
    this.#policyOf = (account) => policyOf?.(account) ?? settings.whenFull;
    this.#book.restore(opened.state, opened.progress);
    const onState = (state: DiskState): void => {
      this.#takeState(state);
    };
    const shared = { disk, clock, logger, settings, stats: this.stats, book: this.#book, onState };
    this.#commits = new CommitLoop({
      ...shared,
      shouldYield: options.shouldYield ?? (() => false),
      onDurable: () => {
        this.#wakeReaders();
      },
      onFull: () => this.#room.makeForDisk(),
    });
    this.#housekeeping = new Housekeeping({
      ...shared,
      note: options.note ?? (() => ''),
      recall: opened.recalled.mark,
      publications: options.publications ?? (() => NO_PUBLICATIONS),
      onTick: () => {
        this.#sampleRates();
        this.#room.tick();
      },
    });
    this.#room = new JournalRoom({
      ...shared,
      ...settings,
      policyOf: this.#policyOf,
      onDropped,
      checkpoint: () => this.#housekeeping.checkpoint(true),
      compact: (segmentId) => this.#housekeeping.compact(segmentId),
      closeOldSegment: () => {
        this.#commits.closeOldSegment();
      },
      pendingBytes: () => this.#commits.pendingBytes,
      hasMemory: (bytes) => this.#commits.hasRoom(bytes),
      isAlive: () => this.#lost === undefined,
    });
    this.#room.used(opened.state.usedBytes);
    disk.onLost = (error) => {
      this.#lose(error, logger);
    };
    this.#reportRecovery(logger);
    this.#housekeeping.start();
  }

  /** The disk's side is gone for good. */
  #lose(error: Error, logger: Logger): void {
    this.#lost = error;
    logger.error({ code: 'JOURNAL_THREAD', reason: error.message }, 'the journal is out of order');
    this.#wakeReaders();
  }

  #reportRecovery(logger: Logger): void {
    const { damage, lostWithSegments, ...found } = this.recovery;
    logger.info({ ...found, open: this.#book.openRecords }, 'journal opened');
    this.stats.damages += damage.length;
    this.stats.lostRecords += lostWithSegments;
    for (const piece of damage) logger.error({ ...piece }, 'the journal is damaged: records are lost');
    if (found.segments > 0 && !found.hadCheckpoint) {
      const what =
        'all that is in its segments is sent again, and files that are missing would not be noticed';
      logger.error({ directories: this.settings.directories }, `the journal has no checkpoint: ${what}`);
    }
  }

  /**
   * Appends a copy of the record. undefined: taken, and `target.recordJournaled(token, position)` follows exactly
   * once, in the order of the appends, when the record is on the disk. A {@link WaitingRoom}: not taken, there is no
   * room or the disk does not work at present. An error: not taken, and never will be.
   *
   * @param mayDrop whether a policy may drop it; otherwise the record waits for room
   */
  append(
    record: SerializedRecord,
    meta: RecordMeta,
    target: JournalTarget,
    token: number,
    mayDrop = true,
  ): JournalRefusal | undefined {
    if (this.#closed) return new JournalClosedError();
    const fault = recordFault(record, meta);
    if (fault !== undefined) return new JournalRecordError(record.topic, fault);
    const bytes = FRAME_HEADER_BYTES + recordBoundBytes(record, meta);
    if (bytes > this.settings.maxRecordBytes) {
      return new JournalRecordTooLargeError(record.topic, bytes, this.settings.maxRecordBytes);
    }
    const room = this.#room;
    if (room.mayPass && room.fits(bytes) && this.#commits.append(record, meta, target, token, bytes)) {
      return undefined;
    }
    const policy = mayDrop ? this.#policyOf(meta.account) : 'block';
    if (policy === 'drop-newest' && this.#isFull(bytes)) {
      this.stats.drop(record.topic, meta.account, 1);
      target.recordJournaled(token, DROPPED);
      return undefined;
    }
    const dropsOldest = policy === 'drop-oldest';
    if (dropsOldest && room.mayUseOwn(bytes) && this.#commits.append(record, meta, target, token, bytes)) {
      room.usedOwn(bytes);
      return undefined;
    }
    return room.waitingRoom(bytes, dropsOldest);
  }

  /** Full by our own limit, or because the disk has no more room: what the policy is for. Other faults are waited out. */
  #isFull(bytes: number): boolean {
    if (!this.#room.fits(bytes)) return this.#lost === undefined;
    const code = this.#commits.fault?.code;
    return (code === 'ENOSPC' || code === 'EDQUOT') && !this.#commits.hasRoom(bytes);
  }

  #takeState(state: DiskState): void {
    this.#book.update(state);
    this.#room.used(state.usedBytes);
  }

  /** {@link JournalOptions.policyOf} answers otherwise from now on. */
  policiesChanged(): void {
    this.#room.policiesChanged();
  }

  /**
   * Says that somebody is sending the record on, and will {@link acknowledge} it: readers of this process leave it
   * out from now on. After a crash nobody has claimed anything. For a record that was just made durable, in time
   * before any reader if it comes from {@link JournalTarget.recordJournaled}.
   */
  claim(position: Position): void {
    this.#book.claim(position);
  }

  /**
   * Says that a record is done: Kafka has it. In any order; twice does nothing. False if the record was done, or
   * dropped by policy.
   */
  acknowledge(position: Position): boolean {
    if (!this.#book.finish(position)) return false;
    this.stats.acknowledgedRecords++;
    // Not at the next checkpoint: somebody waits for the room of what is done.
    if (this.#room.waiting > 0 && this.#book.hasFinished) this.#room.makeForWaiting();
    return true;
  }

  /** Reads what is open, from the oldest record on or from a position. */
  openReader(options: ReaderOptions = {}): JournalReader {
    return new JournalReader(
      {
        read: async (cursor, maxBytes) => {
          const result = await this.#disk.read(cursor, maxBytes);
          this.stats.damages += result.damage.length;
          for (const damage of result.damage) this.#housekeeping.reportDamage(damage, result.setAside);
          return result;
        },
        isSettled: (segmentId, recordNumber, withClaimed) =>
          this.#book.isSettled(segmentId, recordNumber, withClaimed),
        lose: (position) => {
          if (!this.#book.finish(position)) return;
          this.stats.lostRecords++;
          this.#onLost();
        },
        nextCommit: () => {
          if (this.#closed || this.#lost !== undefined) return Promise.resolve();
          return new Promise((resolve) => this.#readsWaiting.push(resolve));
        },
      },
      options,
    );
  }

  #wakeReaders(): void {
    const waiting = this.#readsWaiting;
    this.#readsWaiting = [];
    for (const resolve of waiting) resolve();
  }

  get backlog(): Backlog {
    return {
      openRecords: this.#book.openRecords,
      pendingRecords: this.#commits.pendingRecords,
      usedBytes: this.#room.usedBytes,
    };
  }

  /** What a start has to account for: open records, and those that are known to be lost. */
  get found(): { readonly openRecords: number; readonly lostRecords: number } {
    return { openRecords: this.#book.openRecords, lostRecords: this.recovery.lostWithSegments };
  }

  /** Callers that wait for room. */
  get waiting(): number {
    return this.#room.waiting;
  }

  get health(): JournalHealth {
    if (this.#closed) return { state: 'closed' };
    if (this.#lost !== undefined) return { state: 'lost', reason: this.#lost.message };
    const commits = this.#commits.health;
    if (commits !== undefined && commits.state !== 'degraded') return commits;
    if (!this.#room.fits(1 << 10)) {
      return { state: 'full', reason: `${this.#room.usedBytes} of ${this.settings.maxBytes} bytes are used` };
    }
    return commits ?? this.#housekeeping.health ?? { state: 'ok' };
  }

  #sampleRates(): void {
    this.rates.sample({
      atMs: this.#clock.monotonicMs(),
      inRecords: this.stats.journaledRecords,
      outRecords: this.stats.acknowledgedRecords,
      usedBytes: this.#room.usedBytes,
    });
  }

  metrics(): readonly Metric[] {
    return journalMetrics(this);
  }

  /** Makes durable what is done so far, now instead of at the next interval. */
  checkpoint(): Promise<void> {
    return this.#housekeeping.checkpoint();
  }

  /** Does now what is due at every checkpoint interval: a checkpoint, and a segment compacted if one is stuck. */
  maintain(): Promise<void> {
    return this.#housekeeping.maintain();
  }

  /** Resolves when everything appended so far is on the disk; waits as long as that takes. */
  flush(): Promise<void> {
    return this.#commits.flush();
  }

  /**
   * Takes no more records, brings what was taken to the disk (for at most `timeoutMs`; the rest is never confirmed),
   * writes a last checkpoint, and lets the directories go.
   */
  close(timeoutMs = 10_000): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    this.#room.close();
    const orderly = (async () => {
      await this.#commits.flush();
      this.#housekeeping.stop();
      await this.#housekeeping.checkpoint();
      await this.#disk.close();
    })();
    // Also with a disk that does not even take the last checkpoint: the next start repeats a little more.
    await within(this.#clock, timeoutMs, orderly);
    this.#commits.stop();
    this.#housekeeping.stop();
    this.#wakeReaders();
    this.#disk.abandon();
  }
}
