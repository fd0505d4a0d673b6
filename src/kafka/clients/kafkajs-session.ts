import type { Logger } from '../../core/logger.ts';
import { errorMessage } from '../../core/errors.ts';
import type { ProducerConfig } from '../../producer/config/config-table.ts';
import { BrokerUnavailableError, type ProducerError } from '../../producer/errors.ts';
import { KafkaErrorCode } from '../../producer/cluster/kafka-errors.ts';
import type {
  ClusterMetadata,
  PartitionResponse,
  ProduceOptions,
  TopicMetadata,
} from '../../producer/cluster/port.ts';
import type { ProducerBatch } from '../../producer/batches/producer-batch.ts';
import {
  COMPRESSION_TYPES,
  createAdmin,
  createProducer,
  protocolErrorCode,
  type Admin,
  type KafkaClientOptions,
  type KafkaJsProducer,
} from './kafkajs.ts';
import { unsendableRecords, messageChunks } from './kafkajs-messages.ts';
import { securityFailure } from '../security/failure.ts';
import type { ClientSecurity } from '../security/security.ts';

/**
 * One kafkajs client: a producer and an admin, which live and die together. kafkajs repeats nothing by itself
 * here (its five retries are its own idea of when to give up); each failure comes back as what it means to the
 * sender: an error code of the protocol, or a ProducerError if there was no answer.
 */
export class KafkaJsSession {
  readonly #config: ProducerConfig;
  readonly #security: ClientSecurity;
  readonly #producer: KafkaJsProducer;
  readonly #admin: Admin;

  constructor(config: ProducerConfig, security: ClientSecurity, logger: Logger) {
    const options: KafkaClientOptions = {
      bootstrapServers: config.bootstrapServers,
      clientId: config.clientId,
      logger,
      security,
      retries: 0,
      connectTimeoutMs: config.connectionSetupTimeoutMs,
      requestTimeoutMs: config.requestTimeoutMs,
    };
    this.#config = config;
    this.#security = security;
    this.#producer = createProducer(options);
    this.#admin = createAdmin(options);
  }

  /** @throws BrokerUnavailableError, BrokerSecurityError */
  async connect(): Promise<void> {
    try {
      await this.#producer.connect();
      await this.#admin.connect();
    } catch (error) {
      throw this.#noAnswer(error);
    }
  }

  /**
   * One topic after the other: what kafkajs says of several is only the first one's error. It names no brokers
   * here, because it looks after their addresses itself.
   */
  async metadata(names: readonly string[]): Promise<ClusterMetadata> {
    const topics: TopicMetadata[] = [];
    for (const name of names) topics.push(await this.#topic(name));
    return { clusterId: null, brokers: [], topics };
  }

  async #topic(name: string): Promise<TopicMetadata> {
    try {
      const { topics } = await this.#admin.fetchTopicMetadata({ topics: [name] });
      const partitions = topics[0]?.partitions.toSorted((a, b) => a.partitionId - b.partitionId) ?? [];
      return {
        name,
        errorCode: 0,
        topicId: undefined,
        partitions: partitions.map(({ leader }) => ({ leaderId: leader, leaderEpoch: -1 })),
      };
    } catch (error) {
      const errorCode = protocolErrorCode(error);
      if (errorCode === undefined) throw this.#noAnswer(error);
      return { name, errorCode, topicId: undefined, partitions: [] };
    }
  }

  /**
   * Sends a batch's records, in several requests one after the other if they are many.
   * @throws BrokerUnavailableError also when kafkajs's result leaves the partition out: then it was not sent,
   *   although kafkajs says that all is well
   * @throws BrokerSecurityError
   */
  async send(batch: ProducerBatch, options: ProduceOptions): Promise<PartitionResponse> {
    const { topic, index } = batch.queue;
    const recordFaults = unsendableRecords(batch);
    if (recordFaults.length > 0) return answer(KafkaErrorCode.InvalidRecord, { recordFaults });

    let result = answer(0);
    let expectedOffset: bigint | undefined;
    for (const messages of messageChunks(batch)) {
      const sent = await this.#sendMessages(topic, index, messages, options);
      if (sent.errorCode !== 0) return sent;
      // Others may have written in between: then only the first record's offset would be right.
      if (expectedOffset === undefined) result = sent;
      else if (expectedOffset !== sent.baseOffset) result = { ...result, baseOffset: -1n };
      expectedOffset = sent.baseOffset + BigInt(messages.length);
    }
    return result;
  }

  async #sendMessages(
    topic: string,
    partition: number,
    messages: Parameters<KafkaJsProducer['send']>[0]['messages'],
    { acks, timeoutMs }: ProduceOptions,
  ): Promise<PartitionResponse> {
    try {
      const results = await this.#producer.send({
        topic,
        messages,
        acks,
        timeout: timeoutMs,
        compression: COMPRESSION_TYPES[this.#config.compressionType],
      });
      if (acks === 0) return answer(0);
      const ours = results.find((one) => one.topicName === topic && one.partition === partition);
      if (ours === undefined) {
        throw new BrokerUnavailableError(
          `kafkajs did not send to ${topic}-${partition}, and did not say why`,
        );
      }
      return answer(ours.errorCode, {
        baseOffset: BigInt(ours.baseOffset ?? -1),
        logAppendTimeMs: Number(ours.logAppendTime ?? -1),
      });
    } catch (error) {
      const errorCode = protocolErrorCode(error);
      if (errorCode === undefined) throw this.#noAnswer(error);
      return answer(errorCode, { errorMessage: errorMessage(error) });
    }
  }

  #noAnswer(error: unknown): ProducerError {
    const servers = this.#config.bootstrapServers.join(', ');
    const failure = securityFailure(error, servers, this.#security.protocol);
    if (failure !== undefined) return failure;
    if (error instanceof BrokerUnavailableError) return error;
    return new BrokerUnavailableError(`no answer from Kafka (${servers}): ${errorMessage(error)}`, {
      cause: error,
    });
  }

  /** Never rejects. */
  async disconnect(): Promise<void> {
    await Promise.allSettled([this.#producer.disconnect(), this.#admin.disconnect()]);
  }
}

function answer(errorCode: number, details: Partial<PartitionResponse> = {}): PartitionResponse {
  return {
    errorCode,
    baseOffset: -1n,
    logAppendTimeMs: -1,
    recordFaults: [],
    errorMessage: null,
    currentLeader: undefined,
    ...details,
  };
}
