import { randomUUID } from 'node:crypto';
import { systemClock, within } from '../../core/clock.ts';
import {
  asked,
  ASSIGNER_PROTOCOL,
  CLOSE_TIMEOUT_MS,
  createConsumer,
  type Consumer,
  type EachBatchPayload,
  type KafkaMessage,
  type PartitionAssigner,
} from './kafkajs.ts';
import type { ConsumedRecord, ConsumerListener, ConsumerOptions, ConsumerPort } from './ports.ts';

/** So many heartbeats fit into the time after which the group forgets a member. */
const HEARTBEATS = 6;
/** The share of a fetch that a partition may have at most. */
const PARTITION_SHARE = 4;

/** A member of a consumer group to be; nothing happens before it runs. */
export function openConsumer(options: ConsumerOptions): ConsumerPort {
  return new KafkaJsConsumer(options);
}

class KafkaJsConsumer implements ConsumerPort {
  readonly #options: ConsumerOptions;
  readonly #consumer: Consumer;
  /** The membership's end. */
  readonly #over = Promise.withResolvers<undefined>();
  #closing: Promise<void> | undefined;

  constructor(options: ConsumerOptions) {
    const { groupId, sessionMs, fetchWaitMs, fetchBytes, isSoleMember, rejoins } = options;
    this.#options = options;
    this.#consumer = createConsumer(options, {
      groupId,
      allowAutoTopicCreation: false,
      sessionTimeout: sessionMs,
      rebalanceTimeout: sessionMs,
      heartbeatInterval: sessionMs / HEARTBEATS,
      maxWaitTimeInMs: fetchWaitMs,
      ...(fetchBytes !== undefined && {
        maxBytes: fetchBytes,
        maxBytesPerPartition: fetchBytes / PARTITION_SHARE,
      }),
      ...(isSoleMember === true && { partitionAssigners: [soleMember()] }),
      retry: { restartOnFailure: () => Promise.resolve(rejoins?.() ?? false) },
    });
  }

  async run(listener: ConsumerListener): Promise<void> {
    const consumer = this.#consumer;
    const { CRASH, GROUP_JOIN, HEARTBEAT } = consumer.events;
    consumer.on(CRASH, ({ payload }) => {
      if (!payload.restart) this.#over.reject(payload.error);
    });
    consumer.on(HEARTBEAT, () => listener.heartbeat?.());
    consumer.on(GROUP_JOIN, ({ payload: { memberId, memberAssignment } }) => {
      try {
        listener.joined(memberId, memberAssignment);
      } catch (error) {
        this.#over.reject(error);
      }
    });
    this.#begin(listener).catch(this.#over.reject);
    await asked(this.#options, () => this.#over.promise);
  }

  async #begin(listener: ConsumerListener): Promise<void> {
    const { topics, fromBeginning } = this.#options;
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...topics], fromBeginning });
    if (this.#closing !== undefined) return;
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => this.#offer(payload, listener),
    });
  }

  async #offer(payload: EachBatchPayload, listener: ConsumerListener): Promise<void> {
    if (this.#closing !== undefined) return;
    const { topic, partition, messages, highWatermark } = payload.batch;
    const offered = listener.records({
      topic,
      partition,
      records: messages.map(consumedRecord),
      nextOffset: BigInt(payload.batch.lastOffset()) + 1n,
      endOffset: BigInt(highWatermark),
      heartbeat: () => payload.heartbeat(),
    });
    // A number counts at once: whoever has no room may have some again before the next microtask.
    const taken = typeof offered === 'number' ? offered : await offered;
    const last = messages[taken - 1];
    if (last !== undefined) payload.resolveOffset(last.offset);
    if (taken < messages.length) payload.pause();
  }

  seek(topic: string, partition: number, offset: bigint): void {
    this.#consumer.seek({ topic, partition, offset: String(offset) });
  }

  pause(topic: string): void {
    this.#consumer.pause([{ topic }]);
  }

  resume(topic: string, partition: number): void {
    this.#consumer.resume([{ topic, partitions: [partition] }]);
  }

  commit(topic: string, offsets: ReadonlyMap<number, bigint>): Promise<void> {
    const wanted = [...offsets].map(([partition, offset]) => ({ topic, partition, offset: String(offset) }));
    return asked(this.#options, () => this.#consumer.commitOffsets(wanted));
  }

  close(): Promise<void> {
    this.#over.resolve(undefined);
    return (this.#closing ??= within(systemClock, CLOSE_TIMEOUT_MS, this.#consumer.disconnect()));
  }
}

function consumedRecord({ offset, timestamp, key, value, headers }: KafkaMessage): ConsumedRecord {
  return {
    offset: BigInt(offset),
    timestampMs: Number(timestamp),
    key,
    value,
    headers: Object.entries(headers ?? {}).flatMap(([name, given]) =>
      [given].flat().map((one) => ({
        key: name,
        value: one === undefined ? null : Buffer.isBuffer(one) ? one : Buffer.from(one, 'utf8'),
      })),
    ),
  };
}

const ASSIGNOR = { name: 'sluice-sole-member', version: 0 };

/**
 * Assigns all partitions of a group to its leader, which is the member that was there first, and none to others: who
 * is assigned nothing knows that the group has a reader. (kafkajs knows no leader while it assigns: it is the
 * member that runs this, and recognises itself by a token.)
 */
function soleMember(): PartitionAssigner {
  const token = Buffer.from(randomUUID());
  const { MemberMetadata, MemberAssignment } = ASSIGNER_PROTOCOL;
  const { name, version } = ASSIGNOR;
  return ({ cluster }) => ({
    name,
    version,
    assign({ members, topics }) {
      const partitionsOf = (topic: string): number[] =>
        cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId);
      const assignment = Object.fromEntries(topics.map((topic) => [topic, partitionsOf(topic)]));
      const self = members.filter(
        ({ memberMetadata }) => MemberMetadata.decode(memberMetadata)?.userData.equals(token) === true,
      );
      const memberAssignment = MemberAssignment.encode({ version, assignment, userData: Buffer.alloc(0) });
      return Promise.resolve(self.map(({ memberId }) => ({ memberId, memberAssignment })));
    },
    protocol: ({ topics }) => ({
      name,
      metadata: MemberMetadata.encode({ version, topics, userData: token }),
    }),
  });
}
