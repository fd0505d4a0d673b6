import { pause, type Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { withAdmin } from './admin-client.ts';
import { openConsumer } from './consumer-client.ts';
import type { ConsumerPort, KafkaClientOptions } from './ports.ts';

export interface GroupSeatOptions extends KafkaClientOptions {
  /** The consumer group that has room for one. */
  readonly groupId: string;
  /** A topic that exists: a member of a group subscribes to something. */
  readonly topic: string;
  readonly clock: Clock;
}

/** Somebody else has the seat, or may have taken it meanwhile. */
export class SeatTakenError extends SluiceError {
  constructor(groupId: string, detail: string) {
    const what = `another process does the same work at this moment (consumer group ${groupId})`;
    super('SEAT_TAKEN', `${what}: ${detail}`);
  }
}

/** After so long without a heartbeat the group forgets its member: brokers allow no less. */
const SESSION_MS = 6_000;
/** A member that was killed is still in the group for so long. */
const PATIENCE_MS = 2 * SESSION_MS;
/** Without a heartbeat for so long the seat is not ours to be sure: in good time before the group thinks so. */
const CERTAIN_MS = SESSION_MS / 2;
const LOOK_EVERY_MS = 250;

/**
 * A seat that one process of all has at a time, by membership in a consumer group: the group coordinator gives it
 * back when the process is gone, by whatever death. Nothing is read, and no offset committed.
 */
export class GroupSeat {
  readonly #options: GroupSeatOptions;
  readonly #consumer: ConsumerPort;
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #isOver = false;

  private constructor(options: GroupSeatOptions) {
    this.#options = options;
    this.#consumer = openConsumer({
      ...options,
      topics: [options.topic],
      fromBeginning: false,
      sessionMs: SESSION_MS,
      fetchWaitMs: LOOK_EVERY_MS,
    });
  }

  /**
   * Waits until nobody has the seat, for as long as one that was killed may still seem to have it.
   * @throws SeatTakenError
   */
  static take(options: GroupSeatOptions): Promise<GroupSeat> {
    const { groupId, clock } = options;
    return withAdmin(options, async (admin) => {
      const members = async (): Promise<number> => (await admin.groupMembers(groupId)).length;
      const seat = new GroupSeat(options);
      try {
        const endMs = clock.monotonicMs() + PATIENCE_MS;
        while ((await members()) > 0) {
          if (clock.monotonicMs() >= endMs) throw new SeatTakenError(groupId, 'wait until it has ended');
          await pause(clock, LOOK_EVERY_MS);
        }
        await seat.#join();
        // Two that came at the same moment both see each other here, and both go.
        if ((await members()) === 1) return seat;
        throw new SeatTakenError(groupId, 'both came at the same moment; try again');
      } catch (error) {
        await seat.leave();
        throw error;
      }
    });
  }

  async #join(): Promise<void> {
    const heard = (): void => {
      this.#heardAtMs = this.#options.clock.monotonicMs();
    };
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const joined = (): void => {
      heard();
      resolve(undefined);
    };
    const membership = this.#consumer.run({
      joined,
      heartbeat: heard,
      records: ({ records }) => records.length,
    });
    membership.catch(reject).finally(() => {
      this.#isOver = true;
    });
    await promise;
  }

  /** @throws SeatTakenError when somebody else may have the seat by now */
  assertHeld(): void {
    const silentMs = this.#options.clock.monotonicMs() - this.#heardAtMs;
    if (!this.#isOver && silentMs < CERTAIN_MS) return;
    const detail = `the group has not heard of us for ${Math.round(silentMs)} ms, and may have let somebody else in`;
    throw new SeatTakenError(this.#options.groupId, detail);
  }

  async leave(): Promise<void> {
    await this.#consumer.close();
  }
}
