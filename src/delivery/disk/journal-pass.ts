import { emptyRecord } from '../../core/record.ts';
import type { JournalBatch, JournaledRecord, JournalReader, Position } from '../ports.ts';
import type { Lane } from './lane.ts';

/** What becomes of a record that a pass comes by. */
export type Verdict =
  | 'done'
  /** The pass ends in front of it. */
  | 'end'
  /** Its lane has no room: the pass stays here. */
  | Lane;

/** One stay at a lane that has no room; another one is another object. */
export interface Block {
  readonly lane: Lane;
}

export interface PassOptions {
  readonly reader: JournalReader;
  /** Sends the record, or leaves it to others. */
  readonly offer: (record: JournaledRecord) => Verdict;
  /** It waits for another lane than before. */
  readonly onBlocked: (block: Block) => void;
  /** Nothing more is on the disk at present, or the pass has ended. */
  readonly onDone: () => void;
  /** The disk can't be read. */
  readonly onFault: (error: unknown) => void;
  /** Calls back when the next records may be sent: live traffic comes first. */
  readonly pace: (records: number, callback: () => void) => void;
}

/** Memory for records on their way back, a pass. */
const BATCH_BYTES = 128 << 10;
/** Records that are sent before others have their turn on the event loop. */
const SLICE_RECORDS = 500;

/**
 * One way through the journal: takes record by record to the producer, and stops where there is no room. It goes on
 * within the call that tells of room, so that what comes back from the disk has its turn among those that wait.
 */
export class JournalPass {
  readonly record: JournaledRecord = emptyJournaledRecord();
  readonly #options: PassOptions;
  #batch: JournalBatch | undefined;
  /** `record` holds one that is not done. */
  #held = false;
  #state: 'running' | 'fetching' | 'pacing' | 'tail' | 'blocked' | 'ended' = 'running';
  #running = false;
  /** The last place of which it was told that there is something to be read. */
  #known: Position = -1;
  #smallBatches = 0;
  #block: Block | undefined;
  /** Every record in front of it is done, or was left to others. */
  passed: Position;

  constructor(options: PassOptions) {
    this.#options = options;
    this.passed = options.reader.position;
  }

  /** Where it stays, or stayed last without having got on. */
  get block(): Block | undefined {
    return this.#block;
  }

  /** There is nothing more to be read at present. */
  get atTail(): boolean {
    return this.#state === 'tail';
  }

  /** What it reads is what has just been written. */
  get nearTail(): boolean {
    return this.#state === 'tail' || this.#smallBatches > 1;
  }

  /** There is something to be read at `position`, and nothing in front of it that the pass has not been told of. */
  follow(position: Position): void {
    this.#known = position;
    if (this.#state !== 'tail') return;
    this.#options.reader.skipTo(position);
    this.passed = Math.max(this.passed, this.#options.reader.position);
    this.#state = 'running';
    this.run();
  }

  /** The lane that it waits for may have room, or need not be waited for any more. */
  resume(): void {
    if (this.#state !== 'blocked') return;
    this.#state = 'running';
    this.run();
  }

  end(): void {
    this.#state = 'ended';
    this.#batch = undefined;
  }

  run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      let records = 0;
      while (this.#state === 'running') {
        if (!this.#held && !this.#next(records)) return;
        const verdict = this.#options.offer(this.record);
        if (verdict === 'done') {
          this.#held = false;
          this.passed = this.record.position + 1;
          this.#block = undefined;
          records++;
          if (records >= SLICE_RECORDS) this.#rest(records);
        } else if (verdict === 'end') {
          this.end();
          this.#options.onDone();
        } else {
          this.#state = 'blocked';
          if (this.#block?.lane === verdict) continue;
          this.#block = { lane: verdict };
          this.#options.onBlocked(this.#block);
        }
      }
    } finally {
      this.#running = false;
    }
  }

  /** Takes the next record of the batch; false when there is none and another batch is fetched. */
  #next(records: number): boolean {
    if (this.#batch?.next(this.record) === true) {
      this.#held = true;
      return true;
    }
    if (this.#batch !== undefined) {
      this.passed = Math.max(this.passed, this.#options.reader.position);
      this.#batch = undefined;
      if (records > 0) {
        this.#rest(records);
        return false;
      }
    }
    this.#fetch();
    return false;
  }

  #fetch(): void {
    this.#state = 'fetching';
    this.#options.reader.next(BATCH_BYTES).then(
      (batch) => this.#fetched(batch),
      (error: unknown) => {
        if (this.#state !== 'fetching') return;
        this.#options.onFault(error);
        this.#rest(0);
      },
    );
  }

  #fetched(batch: JournalBatch | undefined): void {
    if (this.#state !== 'fetching') return;
    // One may be the last of its segment; two are all that there is.
    this.#smallBatches = batch === undefined || batch.bytes < BATCH_BYTES / 2 ? this.#smallBatches + 1 : 0;
    if (batch === undefined) {
      this.passed = Math.max(this.passed, this.#options.reader.position);
      if (this.#known >= this.passed) {
        // It came onto the disk after that had answered.
        this.#fetch();
        return;
      }
      this.#state = 'tail';
      this.#options.onDone();
      return;
    }
    this.#batch = batch;
    this.#state = 'running';
    this.run();
  }

  #rest(records: number): void {
    this.#state = 'pacing';
    this.#options.pace(records, () => {
      if (this.#state !== 'pacing') return;
      this.#state = 'running';
      this.run();
    });
  }
}

function emptyJournaledRecord(): JournaledRecord {
  const meta = { account: '', clientId: '', packetId: 0, qos: 0 as const, publicationNumber: 0 };
  return { ...emptyRecord(), ...meta, position: 0 };
}
