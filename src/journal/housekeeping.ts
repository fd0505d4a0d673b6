import type { Cancel, Clock } from '../core/clock.ts';
import { errorMessage } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { DiskPort, DiskState } from './disk-port.ts';
import { DiskFaultError } from './disk-fault.ts';
import { describeFault, type JournalHealth } from './health.ts';
import type { JournalStats } from './journal-stats.ts';
import type { SegmentBook } from './segment-book.ts';
import type { Damage } from './segment-scan.ts';
import type { ResolvedSettings } from './settings.ts';

export interface HousekeepingOptions {
  readonly disk: DiskPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: ResolvedSettings;
  readonly stats: JournalStats;
  readonly book: SegmentBook;
  readonly note: () => string;
  readonly onDropped: (account: string | undefined, records: number) => void;
  readonly onState: (state: DiskState) => void;
  readonly onTick: () => void;
}

/** Checkpoints, removal of what is done, compaction, and making room when there is none. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  #timer: Cancel | undefined;
  #checkpointing: Promise<void> | undefined;
  #makingRoom: Promise<boolean> | undefined;
  #compacting = false;
  #stopped = false;
  health: JournalHealth | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, settings, onTick } = this.#options;
    this.#timer = clock.schedule(() => {
      onTick();
      void this.maintain().finally(() => {
        if (!this.#stopped) this.start();
      });
    }, settings.checkpointIntervalMs);
  }

  /** What is due at every interval: a checkpoint if something changed, and a segment compacted if one is stuck. */
  async maintain(): Promise<void> {
    if (this.#options.book.dirty) await this.checkpoint();
    if (!this.#stopped) await this.#compact();
  }

  /** One checkpoint at a time: a second caller gets one that begins after its call. */
  async checkpoint(): Promise<void> {
    while (this.#checkpointing !== undefined) await this.#checkpointing;
    this.#checkpointing = this.#checkpoint();
    try {
      await this.#checkpointing;
    } finally {
      this.#checkpointing = undefined;
    }
  }

  async #checkpoint(): Promise<void> {
    const { disk, book, note, onState, logger } = this.#options;
    const { progress, finished } = book.takeCheckpoint();
    try {
      onState(await disk.checkpoint(progress, finished, note()));
      if (this.health !== undefined) logger.info({}, 'checkpoints of the journal are written again');
      this.health = undefined;
    } catch (error) {
      book.markDirty();
      const reason = error instanceof DiskFaultError ? describeFault(error.fault) : errorMessage(error);
      if (this.health === undefined) {
        logger.error({ reason }, 'the journal can not write its checkpoint: a restart would repeat records');
      }
      this.health = { state: 'degraded', reason: `checkpoints can't be written: ${reason}` };
    }
  }

  /**
   * Gives room back: what is done, and where the policy says so the oldest segment. True if there may be more than
   * before.
   */
  makeRoom(): Promise<boolean> {
    this.#makingRoom ??= this.#makeRoom().finally(() => {
      this.#makingRoom = undefined;
    });
    return this.#makingRoom;
  }

  async #makeRoom(): Promise<boolean> {
    const { book, settings } = this.#options;
    if (book.hasFinished) {
      await this.checkpoint();
      return true;
    }
    return settings.whenFull === 'drop-oldest' && (await this.#dropOldest());
  }

  async #dropOldest(): Promise<boolean> {
    const { book, disk, stats, logger, onState, onDropped } = this.#options;
    const oldest = book.takeOldest();
    if (oldest === undefined) return false;
    try {
      const { dropped, state } = await disk.drop(oldest.progress);
      let counted = 0;
      for (const { topic, account, records } of dropped) {
        stats.drop(topic, account, records);
        onDropped(account, records);
        counted += records;
      }
      const unread = Math.max(0, oldest.openRecords - counted);
      stats.droppedUnread += unread;
      if (unread > 0) onDropped(undefined, unread);
      logger.error(
        { segment: oldest.progress.id, records: oldest.openRecords, dropped },
        'the journal is full: its oldest records were dropped, as configured',
      );
      onState(state);
      return true;
    } catch (error) {
      logger.error({ reason: errorMessage(error) }, "the journal's oldest segment could not be dropped");
      return false;
    }
  }

  async #compact(): Promise<void> {
    if (this.#compacting) return;
    const { book, disk, stats, logger, onState } = this.#options;
    const chosen = book.nextToCompact();
    if (chosen === undefined) return;
    this.#compacting = true;
    try {
      for (;;) {
        const progress = book.progressOf(chosen.id);
        if (progress === undefined || this.#stopped) return;
        const { finished, bytes, state } = await disk.compact(progress);
        if (finished) {
          stats.compactions++;
          book.compacted(chosen.id, bytes);
        }
        onState(state);
        if (finished) return;
      }
    } catch (error) {
      logger.warn({ segment: chosen.id, reason: errorMessage(error) }, 'a journal segment was not compacted');
    } finally {
      this.#compacting = false;
    }
  }

  reportDamage(damage: Damage, setAside: readonly string[]): void {
    this.#options.logger.error(
      { ...damage, setAside },
      'the journal is damaged: what could not be read was skipped',
    );
  }

  /** Nothing is begun any more, but for a last {@link checkpoint} that the caller asks for. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.();
  }
}
