import type { Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { pause } from '../../core/clock.ts';
import { createAdmin, createConsumer, type Consumer, type KafkaClientOptions } from './kafkajs.ts';
import type { ClientSecurity } from '../security/security.ts';

export interface GroupSeatOptions {
  readonly bootstrapServers: readonly string[];
  readonly clientId: string;
  readonly security: ClientSecurity;
  /** The consumer group that has room for one. */
  readonly groupId: string;
  /** A topic that exists: a member of a group subscribes to something. */
  readonly topic: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Somebody else has the seat, or may have taken it meanwhile. */
export class SeatTakenError extends SluiceError {
  constructor(groupId: string, detail: string) {
    super(
      'SEAT_TAKEN',
      `another process does the same work at this moment (consumer group ${groupId}): ${detail}`,
    );
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
  readonly #consumer: Consumer;
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #crashed = false;

  private constructor(options: GroupSeatOptions) {
    this.#options = options;
    const { groupId } = options;
    this.#consumer = createConsumer(clientOptions(options), {
      groupId,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: LOOK_EVERY_MS,
      sessionTimeout: SESSION_MS,
      rebalanceTimeout: SESSION_MS,
      heartbeatInterval: SESSION_MS / 6,
      retry: { restartOnFailure: () => Promise.resolve(false) },
    });
    const heard = (): void => {
      this.#heardAtMs = options.clock.monotonicMs();
    };
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, heard);
    this.#consumer.on(this.#consumer.events.HEARTBEAT, heard);
    this.#consumer.on(this.#consumer.events.CRASH, () => {
      this.#crashed = true;
    });
  }

  /**
   * Waits until nobody has the seat, for as long as one that was killed may still seem to have it.
   * @throws SeatTakenError
   */
  static async take(options: GroupSeatOptions): Promise<GroupSeat> {
    const { groupId, clock } = options;
    const admin = createAdmin(clientOptions(options));
    await admin.connect();
    const members = async (): Promise<number> =>
      (await admin.describeGroups([groupId])).groups[0]?.members.length ?? 0;
    const seat = new GroupSeat(options);
    try {
      const endMs = clock.monotonicMs() + PATIENCE_MS;
      while ((await members()) > 0) {
        if (clock.monotonicMs() >= endMs) throw new SeatTakenError(groupId, 'wait until it has ended');
        await pause(clock, LOOK_EVERY_MS);
      }
      await seat.#join();
      // Two that came at the same moment both see each other here, and both go.
      if ((await members()) !== 1)
        throw new SeatTakenError(groupId, 'both came at the same moment; try again');
      return seat;
    } catch (error) {
      await seat.leave();
      throw error;
    } finally {
      await admin.disconnect();
    }
  }

  async #join(): Promise<void> {
    const { topic } = this.#options;
    const { promise: joined, resolve, reject } = Promise.withResolvers<undefined>();
    // It may fail while something else is waited for.
    joined.catch(() => undefined);
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, () => {
      resolve(undefined);
    });
    this.#consumer.on(this.#consumer.events.CRASH, ({ payload }) => {
      reject(payload.error);
    });
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topic });
    await this.#consumer.run({ autoCommit: false, eachBatch: () => Promise.resolve() });
    await joined;
  }

  /** @throws SeatTakenError when somebody else may have the seat by now */
  assertHeld(): void {
    const silentMs = this.#options.clock.monotonicMs() - this.#heardAtMs;
    if (!this.#crashed && silentMs < CERTAIN_MS) return;
    throw new SeatTakenError(
      this.#options.groupId,
      `the group has not heard of us for ${Math.round(silentMs)} ms, and may have let somebody else in`,
    );
  }

  async leave(): Promise<void> {
    await this.#consumer.disconnect().catch(() => {});
  }
}

function clientOptions({
  bootstrapServers,
  clientId,
  security,
  logger,
}: GroupSeatOptions): KafkaClientOptions {
  return { bootstrapServers, clientId, security, logger };
}
