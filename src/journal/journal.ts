import { type Clock, within } from '../core/clock.ts';
import type { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';
import type { FullPolicy } from '../core/profile/profile.ts';
import type { PublicationMemory } from '../core/publication.ts';
import type { SerializedRecord } from '../core/record.ts';
import { FRAME_HEADER_BYTES } from '../durable-log/frame.ts';
import { CommitLoop, type JournalTarget } from './commit-loop.ts';
import type { DiskPort, OpenResult, Recalled, RecoveryReport } from './disk/disk-port.ts';
import { DiskThread } from './disk/disk-thread.ts';
import { JournalError } from './errors.ts';
import { type Backlog, FlowRates, type JournalHealth, journalMetrics, JournalStats } from './figures.ts';
import type { JournalParts } from './journal-parts.ts';
import { JournalReader } from './journal-reader.ts';
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
  readonly #parts: JournalParts;
  readonly #book = new SegmentBook();
  readonly #onLost: () => void;
  readonly #policyOf: (account: string) => FullPolicy;
  readonly #commits: CommitLoop;
  readonly #housekeeping: Housekeeping;
  readonly #room: JournalRoom;
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
    opened: OpenResult,
  ) {
    const { clock, logger, policyOf, onDropped = () => {}, onLost = () => {} } = options;
    this.settings = settings;
    this.recovery = opened.report;
    this.recoveredNote = opened.note;
    this.recalled = opened.recalled;
    this.#onLost = onLost;
    this.#policyOf = (account) => policyOf?.(account) ?? settings.whenFull;
    const book = this.#book;
    book.restore(opened.state, opened.progress);
    const onState: JournalParts['onState'] = (state) => {
      book.update(state);
      this.#room.used(state.usedBytes);
    };
    const parts = { disk, clock, logger, settings, stats: this.stats, book, onState };
    this.#parts = parts;
    this.#commits = new CommitLoop({
      ...parts,
      shouldYield: options.shouldYield ?? (() => false),
      onDurable: () => this.#wakeReaders(),
      onFull: () => this.#room.makeForDisk(),
    });
    this.#housekeeping = new Housekeeping({
      ...parts,
      note: options.note ?? (() => ''),
      recall: opened.recalled.mark,
      publications: options.publications ?? (() => NO_PUBLICATIONS),
      onTick: () => {
        this.#sampleRates();
        this.#room.tick();
      },
    });
    this.#room = new JournalRoom({
      ...parts,
      commits: this.#commits,
      housekeeping: this.#housekeeping,
      policyOf: this.#policyOf,
      onDropped,
      isAlive: () => this.#lost === undefined,
    });
    this.#room.used(opened.state.usedBytes);
    disk.onLost = (error) => {
      this.#lost = error;
      logger.error({ code: 'JOURNAL_THREAD', reason: error.message }, 'the journal is out of order');
      this.#wakeReaders();
    };
    this.#reportRecovery(logger);
    this.#housekeeping.start();
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
    if (this.#closed) return new JournalError('JOURNAL_CLOSED', 'the journal is closed');
    const fault = recordFault(record, meta);
    if (fault !== undefined) return unrecordable(record.topic, fault);
    const bytes = FRAME_HEADER_BYTES + recordBoundBytes(record, meta);
    if (bytes > this.settings.maxRecordBytes)
      return tooLarge(record.topic, bytes, this.settings.maxRecordBytes);
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
    return this.#commits.lacksSpace && !this.#commits.hasRoom(bytes);
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

  /** Reads what is open, from a position on; left out, from the oldest record on. */
  openReader({ from = 0 }: { readonly from?: Position } = {}): JournalReader {
    return new JournalReader(this.#parts, from, this.#onLost, () => {
      if (this.#closed || this.#lost !== undefined) return Promise.resolve();
      return new Promise((resolve) => this.#readsWaiting.push(resolve));
    });
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
      atMs: this.#parts.clock.monotonicMs(),
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
    const { clock, disk } = this.#parts;
    this.#closed = true;
    this.#room.close();
    const orderly = (async () => {
      await this.#commits.flush();
      this.#housekeeping.stop();
      await this.#housekeeping.checkpoint();
      await disk.close();
    })();
    // Also with a disk that does not even take the last checkpoint: the next start repeats a little more.
    await within(clock, timeoutMs, orderly);
    this.#commits.stop();
    this.#housekeeping.stop();
    this.#wakeReaders();
    disk.abandon();
  }
}

/** The record itself can't be written down. */
function unrecordable(topic: string, reason: string): JournalError {
  const message = `a record for topic '${topic}' can't be journaled: ${reason}`;
  return new JournalError('JOURNAL_RECORD_INVALID', message);
}

/** The record will never fit. */
function tooLarge(topic: string, bytes: number, limitBytes: number): JournalError {
  const record = `a record of up to ${bytes} bytes for topic '${topic}'`;
  return new JournalError(
    'JOURNAL_RECORD_TOO_LARGE',
    `${record} is larger than the journal takes (${limitBytes})`,
  );
}
