import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { PublicationMemory } from '../../core/publication.ts';
import { type Damage, DiskFaultError, type DiskPort, type DiskState } from '../disk/disk-port.ts';
import { describeFault, type JournalHealth, type JournalStats } from '../figures.ts';
import type { RecallMark } from '../recovery/checkpoint.ts';
import type { ResolvedSettings } from '../settings.ts';
import type { SegmentBook } from './segment-book.ts';

export interface HousekeepingOptions {
  readonly disk: DiskPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: ResolvedSettings;
  readonly stats: JournalStats;
  readonly book: SegmentBook;
  readonly note: () => string;
  /** As it was found at the start. */
  readonly recall: RecallMark;
  /** Who has to know of publications after a crash; the answer is undefined until it can be asked. */
  readonly publications: () => PublicationMemory | undefined;
  readonly onState: (state: DiskState) => void;
  readonly onTick: () => void;
}

/** Moves the mark on: at each checkpoint, as far as the sessions have been on the disk since the last one. */
class Recall {
  readonly #book: SegmentBook;
  readonly #memory: () => PublicationMemory | undefined;
  #mark: RecallMark;
  #waiting = false;

  constructor(book: SegmentBook, mark: RecallMark, memory: () => PublicationMemory | undefined) {
    this.#book = book;
    this.#mark = mark;
    this.#memory = memory;
    book.pinnedFrom = mark.from;
  }

  /** What a checkpoint of this moment is to say. */
  mark(): RecallMark {
    const memory = this.#memory();
    if (memory === undefined) return this.#mark;
    const nextOrdinal = Math.max(memory.nextPublicationNumber, this.#mark.nextOrdinal);
    this.#mark = { ...this.#mark, nextOrdinal };
    if (!this.#waiting) {
      const from = this.#book.end;
      this.#waiting = true;
      memory.whenKept(() => {
        this.#waiting = false;
        this.#mark = { ...this.#mark, from: Math.max(from, this.#mark.from) };
        this.#book.pinnedFrom = this.#mark.from;
      });
    }
    return this.#mark;
  }
}

/** Checkpoints, removal of what is done, and compaction. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #recall: Recall;
  #timer: Cancel | undefined;
  #checkpointing: Promise<void> | undefined;
  #compacting: Promise<boolean> | undefined;
  #stopped = false;
  health: JournalHealth | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    this.#recall = new Recall(options.book, options.recall, options.publications);
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
    if (!this.#stopped) await this.#compactOneStuck();
  }

  /** One checkpoint at a time: a second caller gets one that begins after its call. */
  async checkpoint(withPinned = false): Promise<void> {
    while (this.#checkpointing !== undefined) await this.#checkpointing;
    this.#checkpointing = this.#checkpoint(withPinned);
    try {
      await this.#checkpointing;
    } finally {
      this.#checkpointing = undefined;
    }
  }

  async #checkpoint(withPinned: boolean): Promise<void> {
    const { disk, book, note, onState, logger } = this.#options;
    const mark = this.#recall.mark();
    const { progress, finished } = book.takeCheckpoint(withPinned);
    try {
      onState(await disk.checkpoint(progress, finished, note(), mark));
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
    await this.#clear();
  }

  /** Waits until the space of what is done is free: in small pieces, so that no commit waits for long. */
  async #clear(): Promise<void> {
    try {
      while (!this.#stopped && !(await this.#options.disk.clear()));
    } catch {
      // The disk's side is gone, which is said elsewhere.
    }
  }

  async #compactOneStuck(): Promise<void> {
    if (this.#compacting !== undefined) return;
    const chosen = this.#options.book.nextToCompact();
    if (chosen !== undefined) await this.compact(chosen.id);
  }

  /** Takes what is done out of a closed segment, one segment at a time. False if the disk does not let us. */
  async compact(segmentId: number): Promise<boolean> {
    while (this.#compacting !== undefined) await this.#compacting;
    this.#compacting = this.#compact(segmentId);
    try {
      return await this.#compacting;
    } finally {
      this.#compacting = undefined;
    }
  }

  async #compact(segmentId: number): Promise<boolean> {
    const { book, disk, stats, logger, onState } = this.#options;
    try {
      for (;;) {
        const progress = book.progressOf(segmentId);
        if (progress === undefined) return true;
        if (this.#stopped) return false;
        const { finished, bytes, state } = await disk.compact(progress);
        if (finished) {
          stats.compactions++;
          book.compacted(segmentId, bytes);
        }
        onState(state);
        if (finished) return true;
      }
    } catch (error) {
      logger.warn({ segment: segmentId, reason: errorMessage(error) }, 'a journal segment was not compacted');
      return false;
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
