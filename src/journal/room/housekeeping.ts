import type { Cancel } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { PublicationMemory } from '../../core/publication.ts';
import { DiskFaultError } from '../disk/disk-port.ts';
import { describeFault, type JournalHealth } from '../figures.ts';
import type { JournalParts } from '../journal-parts.ts';
import type { RecallMark } from '../recovery/checkpoint.ts';

export interface HousekeepingOptions extends JournalParts {
  readonly note: () => string;
  /** As it was found at the start. */
  readonly recall: RecallMark;
  /** Who has to know of publications after a crash; the answer is undefined until it can be asked. */
  readonly publications: () => PublicationMemory | undefined;
  readonly onTick: () => void;
}

/** Checkpoints, removal of what is done, and compaction. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  #recall: RecallMark;
  /** Whether {@link #moveRecall} waits for the sessions. */
  #recallWaits = false;
  #timer: Cancel | undefined;
  #checkpointing: Promise<void> | undefined;
  #compacting: Promise<boolean> | undefined;
  #stopped = false;
  health: JournalHealth | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    this.#recall = options.recall;
    options.book.pinnedFrom = options.recall.from;
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
    this.#checkpointing = this.#checkpoint(withPinned).finally(() => {
      this.#checkpointing = undefined;
    });
    await this.#checkpointing;
  }

  async #checkpoint(withPinned: boolean): Promise<void> {
    const { disk, book, note, onState, logger } = this.#options;
    this.#moveRecall();
    const { progress, finished } = book.takeCheckpoint(withPinned);
    try {
      onState(await disk.checkpoint(progress, finished, note(), this.#recall));
      if (this.health !== undefined) logger.info({}, 'checkpoints of the journal are written again');
      this.health = undefined;
    } catch (error) {
      book.dirty = true;
      const reason = error instanceof DiskFaultError ? describeFault(error.fault) : errorMessage(error);
      if (this.health === undefined) {
        logger.error({ reason }, 'the journal can not write its checkpoint: a restart would repeat records');
      }
      this.health = { state: 'degraded', reason: `checkpoints can't be written: ${reason}` };
    }
    await this.#clear();
  }

  /** Moves the mark on: as far as the sessions have been on the disk since the last checkpoint. */
  #moveRecall(): void {
    const { book } = this.#options;
    const memory = this.#options.publications();
    if (memory === undefined) return;
    const nextOrdinal = Math.max(memory.nextPublicationNumber, this.#recall.nextOrdinal);
    this.#recall = { ...this.#recall, nextOrdinal };
    if (this.#recallWaits) return;
    const from = book.end;
    this.#recallWaits = true;
    memory.whenKept(() => {
      this.#recallWaits = false;
      this.#recall = { ...this.#recall, from: Math.max(from, this.#recall.from) };
      book.pinnedFrom = this.#recall.from;
    });
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
    this.#compacting = this.#compact(segmentId).finally(() => {
      this.#compacting = undefined;
    });
    return this.#compacting;
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

  /** Nothing is begun any more, but for a last {@link checkpoint} that the caller asks for. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.();
  }
}
