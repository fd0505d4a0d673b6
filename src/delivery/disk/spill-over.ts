import type { Cancel } from '../../core/clock.ts';
import type { Lane, Lanes } from './lane.ts';
import type { StoredDeliveries, StoredDeliveriesOptions } from './stored-deliveries.ts';

export interface SpillSettings {
  /** Kafka has not acknowledged a record for so long: its partition's records go to the disk. */
  readonly afterMs: number;
  /** So much of buffer.memory is taken: all partitions' do. Above 0, at most 1. */
  readonly bufferShare: number;
}

export interface SpillOverOptions extends StoredDeliveriesOptions {
  readonly spill: SpillSettings;
  readonly lanes: Lanes;
  /** Whose records in the producer may need a copy. */
  readonly deliveries: StoredDeliveries;
}

/** Looks in the time after which a lane spills: how exactly the time is kept. */
const LOOKS = 4;

/**
 * Contract `kafka-or-journal`: notices that Kafka is away or slow, lane by lane, and turns to the disk. What is in the
 * producer stays there; copies of it go to the journal, which only release the devices' acknowledgements, and they go
 * there before anything newer of the lane does: after a crash the journal is read in its order.
 */
export class SpillOver {
  readonly #options: SpillOverOptions;
  #timer: Cancel = () => {};
  /** Lanes whose records are being copied. */
  readonly #copying = new Set<Lane>();
  /** Set while somebody waits for all of them. */
  #onAllCopied: (() => void) | undefined;

  constructor(options: SpillOverOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, spill } = this.#options;
    this.#timer = clock.schedule(() => {
      this.#look();
      this.start();
    }, spill.afterMs / LOOKS);
  }

  stop(): void {
    this.#timer();
  }

  #look(): void {
    const { lanes, records, spill } = this.#options;
    const { totalBytes, availableBytes } = records.buffer;
    const isFull = totalBytes - availableBytes > totalBytes * spill.bufferShare;
    for (const lane of lanes.all()) {
      lane.look(LOOKS);
      if (lane.isSlow || isFull) this.#beginIfAlone(lane, false);
    }
  }

  /**
   * The lane's records go to the disk from now on. False: the disk takes none at present, so that Kafka alone is
   * waited for; unless it `must`, because something of it is on its way to the disk already.
   */
  begin(lane: Lane, must: boolean): boolean {
    lane.leaveDirect();
    if (lane.uncopied > 0 && !this.#copyAll(lane, must)) {
      lane.stayDirect();
      return false;
    }
    const { topic, partition } = lane;
    this.#options.logger.info({ topic, partition }, 'Kafka is away or slow: records go to the journal');
    return true;
  }

  #beginIfAlone(lane: Lane, must: boolean): void {
    if (lane.state === 'direct' && lane.uncopied > 0) this.begin(lane, must);
  }

  /**
   * All lanes' records go to the disk from now on. Resolves when nothing is left to be copied; does not, as long as a
   * disk that is full or faulty takes nothing.
   */
  beginAll(): Promise<void> {
    for (const lane of this.#options.lanes.all()) this.#beginIfAlone(lane, true);
    if (this.#copying.size === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#onAllCopied = () => resolve(undefined);
    return promise;
  }

  /** Kafka was sooner than the disk. */
  settled(lane: Lane): void {
    if (lane.uncopied === 0 && this.#copying.has(lane)) this.#end(lane);
  }

  /** Goes on when the disk has room again. False: it took nothing, and it need not. */
  #copyAll(lane: Lane, must: boolean): boolean {
    const { records, deliveries } = this.#options;
    let copied = 0;
    for (const waiting of records.unacknowledged(lane.topic, lane.partition)) {
      if (waiting.target !== deliveries || !deliveries.needsCopy(waiting.token, lane)) continue;
      const refusal = deliveries.copyToDisk(waiting.token, waiting.record);
      if (refusal !== undefined && 'wait' in refusal) {
        if (copied === 0 && !must) return false;
        this.#copying.add(lane);
        refusal.wait(() => {
          if (this.#copying.has(lane)) this.#copyAll(lane, true);
        });
        return true;
      }
      // One that the journal can't take at all waits for Kafka alone.
      copied++;
    }
    this.#end(lane);
    return true;
  }

  #end(lane: Lane): void {
    this.#copying.delete(lane);
    lane.copied();
    if (this.#copying.size === 0) this.#onAllCopied?.();
  }
}
