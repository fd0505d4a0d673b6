import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { RecoveredRecords } from '../ledger/ledger-note.ts';
import type { Bottleneck, JournaledRecord, Position } from '../ports.ts';
import { JournalPass, type Block, type Verdict } from './journal-pass.ts';
import type { Lane, Lanes } from './lane.ts';
import type { StoredDeliveries, StoredDeliveriesOptions } from './stored-deliveries.ts';

export interface ReplayOptions extends StoredDeliveriesOptions {
  readonly lanes: Lanes;
  readonly deliveries: StoredDeliveries;
  /** Hears once of each record of a former process. */
  readonly recovered: RecoveredRecords;
  readonly replay: ReplaySettings;
}

/** A lane that takes nothing for so long is left behind, so that the others get on. */
const PATIENCE_MS = 1_000;
/** How long new records of a lane may wait for it to become direct, and the pause before the next try. */
const CLOSING_MS = 1_000;
const CLOSE_AGAIN_MS = 5_000;
const FAULT_RETRY_MS = 500;

/**
 * Brings what is in the journal back to the producer, in order within each lane.
 *
 * One pass goes from the oldest record to the tail. A lane that takes nothing (a partition without a leader, a topic
 * that is not there) is left behind with the place of its first record that was skipped; when it has room again, a
 * second pass fetches what was left, for all such lanes together. So there are never more than two readers, and what
 * is remembered of a lane is one number. At the tail a lane becomes direct again.
 */
export class Replay {
  readonly #options: ReplayOptions;
  readonly pacer: Pacer;
  readonly #main: JournalPass;
  /** The second pass, and the lanes that it is for. */
  #sweep: JournalPass | undefined;
  readonly #swept = new Set<Lane>();
  /** Records in front of it are of a former process; unknown until the first one of this process is on the disk. */
  #recoveredUpTo = Number.POSITIVE_INFINITY;
  #woken = false;
  #stopped = false;
  readonly #timers = new Set<Cancel>();

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.pacer = new Pacer(options.replay, options.clock);
    const wake = (): void => this.#wake();
    this.#main = this.#newPass(0, (record) => this.#offerMain(record), wake);
  }

  start(): void {
    this.#main.run();
  }

  stop(): void {
    this.#stopped = true;
    this.#main.end();
    this.#sweep?.end();
    for (const cancel of this.#timers) cancel();
  }

  /** A record of this process is on the disk, `toBeRead` or with the producer already. */
  journaled(position: Position, toBeRead: boolean): void {
    if (this.#recoveredUpTo === Number.POSITIVE_INFINITY) this.#recoveredUpTo = position;
    if (toBeRead) this.#main.follow(position);
  }

  /** Something has changed for a lane: there may be room, or what was to come back has come. */
  changed(): void {
    if (this.#woken) return;
    this.#woken = true;
    // Once for all records of a batch that was acknowledged.
    queueMicrotask(() => {
      this.#woken = false;
      this.#wake();
    });
  }

  /** The lane is told when the producer has room for it: what is read back first, then devices. */
  awaitRoom(lane: Lane, bottleneck: Bottleneck): void {
    lane.awaitRoom(bottleneck, () => this.#wake());
  }

  #wake(): void {
    if (this.#stopped) return;
    this.#main.resume();
    this.#sweep?.resume();
    this.#handOver();
    this.#startSweep();
  }

  #newPass(from: Position, offer: (record: JournaledRecord) => Verdict, onDone: () => void): JournalPass {
    const { journal, logger } = this.#options;
    const pass: JournalPass = new JournalPass({
      reader: journal.openReader({ from }),
      offer,
      onBlocked: (block) => this.#watch(pass, block),
      onDone,
      onFault: (error) =>
        logger.warn({ reason: errorMessage(error) }, 'the journal can not be read; trying again'),
      pace: (records, callback) => {
        if (records === 0) this.#in(FAULT_RETRY_MS, callback);
        else this.pacer.rest(records, callback);
      },
    });
    return pass;
  }

  #offerMain(record: JournaledRecord): Verdict {
    const { lanes, recovered } = this.#options;
    const lane = lanes.of(record);
    if (!lane.isLeftBehind && !this.#send(record, lane)) return lane;
    if (record.position < this.#recoveredUpTo) recovered.seen(record.account);
    return 'done';
  }

  /** Hands the record to the producer; false: its lane has no room at present. */
  #send(record: JournaledRecord, lane: Lane): boolean {
    if (lane.isReplayWindowFull) return false;
    const bottleneck = this.#options.deliveries.sendBack(record, lane);
    if (bottleneck !== undefined) this.awaitRoom(lane, bottleneck);
    return bottleneck === undefined;
  }

  /** Does not wait for one lane for ever, as long as others have a chance. */
  #watch(pass: JournalPass, block: Block): void {
    this.#in(PATIENCE_MS, () => {
      if (this.#stopped || pass.block !== block) return;
      // With no broker at all nothing would be gained: the whole journal would only be read in vain.
      if (this.#options.records.connectionState().connectedBrokers === 0) {
        this.#watch(pass, block);
        return;
      }
      this.#leaveBehind(block.lane, pass.record.position);
      pass.resume();
      this.#startSweep();
    });
  }

  #leaveBehind(lane: Lane, position: Position): void {
    lane.leaveBehind(position);
    if (this.#swept.delete(lane)) return;
    const { topic, partition } = lane;
    this.#options.logger.warn(
      { topic, partition },
      'records for it stay in the journal: it takes none at present, and the others go on',
    );
  }

  /** Fetches what was left behind, for all lanes that may have room now. */
  #startSweep(): void {
    if (this.#sweep !== undefined || this.#stopped) return;
    let from = Number.POSITIVE_INFINITY;
    for (const lane of this.#options.lanes.indirect) {
      const { sweepFrom } = lane;
      if (sweepFrom === undefined) continue;
      this.#swept.add(lane);
      from = Math.min(from, sweepFrom);
    }
    if (this.#swept.size === 0) return;
    const finish = (): void => this.#endSweep();
    this.#sweep = this.#newPass(from, (record) => this.#offerSweep(record), finish);
    this.#sweep.run();
  }

  #offerSweep(record: JournaledRecord): Verdict {
    // From there on it is the main pass that reads.
    if (record.position >= this.#main.passed || this.#swept.size === 0) return 'end';
    const lane = this.#options.lanes.of(record);
    if (!this.#swept.has(lane)) return 'done';
    return this.#send(record, lane) ? 'done' : lane;
  }

  /** Both passes are at the same place: what was left behind is not any more. */
  #endSweep(): void {
    const sweep = this.#sweep;
    if (sweep === undefined) return;
    sweep.end();
    this.#sweep = undefined;
    for (const lane of this.#swept) lane.catchUp();
    this.#swept.clear();
    this.changed();
  }

  /** Makes lanes direct of which nothing is left on the disk, and closes those of which little is left. */
  #handOver(): void {
    const { lanes, recovered, clock } = this.#options;
    const { passed, atTail, nearTail } = this.#main;
    if (lanes.recovering && (passed >= this.#recoveredUpTo || atTail)) {
      lanes.recovering = false;
      recovered.settle();
    }
    if (lanes.recovering) return;
    for (const lane of lanes.indirect) {
      if (lane.isDrained(passed)) lane.becomeDirect();
      else if (nearTail && lane.mayClose(clock.monotonicMs())) this.#close(lane);
    }
  }

  /** New records wait a moment, until the last ones have come back from the disk and are in Kafka. */
  #close(lane: Lane): void {
    lane.close();
    this.#in(CLOSING_MS, () => {
      if (lane.state === 'closing') lane.reopen(this.#options.clock.monotonicMs() + CLOSE_AGAIN_MS);
    });
  }

  #in(delayMs: number, callback: () => void): void {
    const cancel = this.#options.clock.schedule(() => {
      this.#timers.delete(cancel);
      callback();
    }, delayMs);
    this.#timers.add(cancel);
  }
}

export interface ReplaySettings {
  /** Records a second at most; Infinity: as fast as Kafka takes them. */
  readonly rate: number;
  /** Of the gateway's time, while devices send; above 0, at most 1. */
  readonly share: number;
}

/** How long after the last live message traffic counts as quiet. */
const QUIET_MS = 200;

/**
 * Leaves room for live traffic: after each piece of work the replay rests in proportion, as long as devices send.
 * When they don't, it only gives way to whatever else is to be done.
 */
export class Pacer {
  readonly #settings: ReplaySettings;
  readonly #clock: Clock;
  /** Counts live messages; whoever takes them on writes it. */
  live = 0;
  #liveAtLastLook = 0;
  #lastLiveMs = Number.NEGATIVE_INFINITY;
  #restedUntilMs = Number.NEGATIVE_INFINITY;
  /** When the next record may go by the rate. */
  #dueMs = Number.NEGATIVE_INFINITY;

  constructor(settings: ReplaySettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Calls back when the next piece may be worked on, after one of so many records. */
  rest(records: number, callback: () => void): void {
    const nowMs = this.#clock.monotonicMs();
    this.#dueMs = Math.max(this.#dueMs, nowMs - 1_000) + (1_000 * records) / this.#settings.rate;
    const restMs = Math.max(this.#restMs(nowMs), this.#dueMs - nowMs, 0);
    this.#restedUntilMs = nowMs + restMs;
    this.#clock.schedule(callback, restMs);
  }

  #restMs(nowMs: number): number {
    const { share } = this.#settings;
    if (this.live !== this.#liveAtLastLook) this.#lastLiveMs = nowMs;
    this.#liveAtLastLook = this.live;
    if (nowMs - this.#lastLiveMs > QUIET_MS) return 0;
    // What the last piece took, as far as it can be seen from here; reading from the disk is not our time.
    const workedMs = Math.min(nowMs - this.#restedUntilMs, 10);
    return (workedMs * (1 - share)) / share;
  }
}
