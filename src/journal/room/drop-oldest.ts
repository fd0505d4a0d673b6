import { setImmediate as turn } from 'node:timers/promises';
import { errorMessage } from '../../core/errors.ts';
import type { FullPolicy } from '../../core/profile/profile.ts';
import type { CommitLoop } from '../commit-loop.ts';
import type { Survey } from '../disk/disk-port.ts';
import type { JournalParts } from '../journal-parts.ts';
import { positionOf } from '../journal-record.ts';
import type { Housekeeping } from './housekeeping.ts';

export interface DropOldestOptions extends JournalParts {
  readonly housekeeping: Housekeeping;
  /** Of an account's records; asked of records that are on the disk, whoever wrote them. */
  readonly policyOf: (account: string) => FullPolicy;
  readonly onDropped: (account: string, records: number) => void;
}

const FULL = 'the journal is full: oldest records were dropped, as configured';
const TOO_OLD = 'records are older than journal.max.age.ms: they were dropped, as configured';

/** To write a segment anew for less than this share of it would cost more than it gives. */
const WORTHWHILE_SHARE = 1 / 8;
/** Records that are marked before the event loop has its turn. */
const PER_TURN = 10_000;

/**
 * Policy `drop-oldest`: gives up the oldest records of the routes that have it, a segment's at a time, and no other
 * route's. A segment with nothing else in it is removed; from one that it shares with others its records are taken out.
 * And the age limit, which spares no route.
 */
export class DropOldest {
  readonly #options: DropOldestOptions;
  /** Segments in which there is too little to give up. */
  readonly #spared = new Set<number>();
  /** Records were given up there, and their room could not be had yet. */
  readonly #unfinished = new Set<number>();
  /** All of it that can be read was given up for its age. */
  readonly #expired = new Set<number>();

  constructor(options: DropOldestOptions) {
    this.#options = options;
  }

  /** Other routes have other policies now. */
  policiesChanged(): void {
    this.#spared.clear();
  }

  /** True if there is more room than before. */
  async run(): Promise<boolean> {
    const { book, housekeeping } = this.#options;
    for (const id of this.#unfinished) {
      if (book.has(id) && !(await housekeeping.compact(id))) return false;
      this.#unfinished.delete(id);
      return true;
    }
    for (const id of this.#spared) if (!book.has(id)) this.#spared.delete(id);
    for (const id of book.openSegments()) {
      if (this.#spared.has(id)) continue;
      const survey = await this.#survey(id);
      if (survey === undefined) continue;
      const mayGo = survey.owners.map(({ account }) => this.#options.policyOf(account) === 'drop-oldest');
      const records = survey.ownerOf.reduce((sum, owner) => sum + Number(mayGo[owner]), 0);
      if (records === 0 || records < survey.recordNumbers.length * WORTHWHILE_SHARE) this.#spared.add(id);
      else return this.#giveUp(id, survey, mayGo, FULL);
    }
    return false;
  }

  /** Gives up what these segments still hold, whatever its routes' policies are. What can't be read stays. */
  async expire(segments: readonly number[]): Promise<void> {
    for (const id of this.#expired) if (!this.#options.book.has(id)) this.#expired.delete(id);
    for (const id of segments) {
      if (this.#expired.has(id)) continue;
      const survey = await this.#survey(id);
      if (survey === undefined) continue;
      this.#expired.add(id);
      const all = survey.owners.map(() => true);
      await this.#giveUp(id, survey, all, TOO_OLD);
    }
  }

  async #survey(id: number): Promise<Survey | undefined> {
    const { book, disk, logger } = this.#options;
    const progress = book.progressOf(id);
    if (progress === undefined) return undefined;
    try {
      return await disk.survey(progress);
    } catch (error) {
      // Whose records these are can't be said, and so they stay.
      const fields = { segment: id, reason: errorMessage(error) };
      logger.warn(fields, 'a journal segment could not be looked through');
      return undefined;
    }
  }

  async #giveUp(
    id: number,
    { owners, recordNumbers, ownerOf }: Survey,
    mayGo: readonly boolean[],
    message: string,
  ): Promise<boolean> {
    const { book, stats, logger, onDropped, housekeeping } = this.#options;
    const counts = owners.map(() => 0);
    for (let index = 0; index < recordNumbers.length; index++) {
      if (index % PER_TURN === PER_TURN - 1) await turn();
      const owner = ownerOf[index] as number;
      // What was done meanwhile is not dropped.
      if (!mayGo[owner] || !book.finish(positionOf(id, recordNumbers[index] as number))) continue;
      counts[owner] = (counts[owner] as number) + 1;
    }
    const dropped = owners.flatMap((owner, index) => {
      const records = counts[index] as number;
      return records === 0 ? [] : [{ ...owner, records }];
    });
    for (const { topic, account, records } of dropped) {
      stats.drop(topic, account, records);
      onDropped(account, records);
    }
    if (dropped.length > 0) logger.error({ segment: id, dropped }, message);
    if (book.hasFinished) {
      await housekeeping.checkpoint(true);
      return true;
    }
    if (await housekeeping.compact(id)) return true;
    this.#unfinished.add(id);
    return false;
  }
}

/** What a crash takes from the ages: so much of the limit, at most. */
const NOTED_SHARE = 1 / 100;

/**
 * Finds records that are older than the journal may keep them. Age is time that passed while a gateway ran, by its
 * monotonic clock, and is kept in the checkpoint: a wall clock that jumps by years, as on a machine that starts in 1970
 * until it is told the time, drops nothing.
 */
export class AgeLimit {
  readonly #parts: JournalParts;
  readonly #commits: CommitLoop;
  #lastMs: number;
  #notedMs: number;

  constructor(parts: JournalParts, commits: CommitLoop) {
    this.#parts = parts;
    this.#commits = commits;
    this.#lastMs = parts.clock.monotonicMs();
    this.#notedMs = this.#lastMs;
  }

  /** To be called now and then, before the checkpoint; says which segments are too old now. */
  tick(): readonly number[] {
    const { clock, book, settings } = this.#parts;
    const { maxAgeMs } = settings;
    if (maxAgeMs === Number.POSITIVE_INFINITY) return [];
    const nowMs = clock.monotonicMs();
    book.passTime(nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    if (nowMs - this.#notedMs >= maxAgeMs * NOTED_SHARE && book.openRecords > 0) {
      this.#notedMs = nowMs;
      book.dirty = true;
    }
    this.#commits.closeOldSegment();
    return book.openSegments(maxAgeMs);
  }
}
