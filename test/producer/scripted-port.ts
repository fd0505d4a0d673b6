import type {
  BrokerEndpoint,
  BrokerPort,
  ClusterMetadata,
  ConnectionState,
  PartitionResponse,
  ProduceResponse,
  ProducerIdAndEpoch,
  TopicMetadata,
} from '../../src/producer/cluster/port.ts';
import type { ProducerBatch } from '../../src/producer/batches/producer-batch.ts';

/** A batch as it was when it was sent. */
export interface SentBatch {
  readonly partition: number;
  readonly sequence: number;
  readonly epoch: number;
  readonly values: readonly string[];
}

/** A Produce request that the test answers, or lets fail. */
export class SentRequest {
  readonly brokerId: number;
  readonly batches: readonly SentBatch[];
  readonly #resolve: (response: ProduceResponse) => void;
  readonly #reject: (error: Error) => void;

  constructor(
    brokerId: number,
    batches: readonly ProducerBatch[],
    resolve: (response: ProduceResponse) => void,
    reject: (error: Error) => void,
  ) {
    this.brokerId = brokerId;
    this.batches = batches.map((batch) => ({
      partition: batch.queue.partition,
      sequence: batch.baseSequence,
      epoch: batch.producerEpoch,
      values: [...batch].map(({ value }) => Buffer.from(value ?? []).toString()),
    }));
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The values of all batches, in order. */
  get values(): string {
    return this.batches.flatMap(({ values }) => values).join(' ');
  }

  /** Answers all batches alike. */
  answer(answer: Partial<PartitionResponse> = {}, response: Partial<ProduceResponse> = {}): Promise<void> {
    return this.answerEach(
      this.batches.map(() => answer),
      response,
    );
  }

  answerEach(
    answers: readonly Partial<PartitionResponse>[],
    response: Partial<ProduceResponse> = {},
  ): Promise<void> {
    const partitions = answers.map((answer) => ({
      errorCode: 0,
      baseOffset: answer.errorCode === undefined ? 100n : -1n,
      logAppendTimeMs: -1,
      recordFaults: [],
      errorMessage: null,
      currentLeader: undefined,
      ...answer,
    }));
    this.#resolve({ partitions, endpoints: [], throttleTimeMs: 0, ...response });
    return settled();
  }

  fail(error: Error): Promise<void> {
    this.#reject(error);
    return settled();
  }
}

/** What producers on a scripted port are to do after the events of this turn. */
const deferred: (() => void)[] = [];

/** For a producer's `defer`: the call is made by {@link settled}. */
export function defer(callback: () => void): void {
  deferred.push(callback);
}

/**
 * Lets producers do all that they can do now: their senders are stepped until none asks for another step and no
 * promise is left that is due. What was not sent then is not sent before time passes or a broker answers.
 */
export async function settled(): Promise<void> {
  for (let quietTurns = 0; quietTurns < 3; quietTurns++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    if (deferred.length > 0) quietTurns = 0;
    for (const step of deferred.splice(0)) step();
  }
}

/** A cluster whose every answer the test decides. */
export class ScriptedPort implements BrokerPort {
  readonly isBehind = false;
  onReadinessChange: (() => void) | undefined;
  /** What metadata says; a topic that is not here is unknown. */
  readonly topics = new Map<string, TopicMetadata>();
  readonly requests: SentRequest[] = [];
  readonly unready = new Set<number>();
  brokers: readonly BrokerEndpoint[] = [];
  connectedBrokers = 1;
  metadataRequests = 0;
  metadataFailure: Error | undefined;
  producerIdFailure: Error | undefined;
  #nextProducerId = 1000n;
  closed = false;

  /** Partition i is led by broker leaders[i]. */
  setTopic(name: string, leaders: readonly number[], leaderEpoch = 0, topicId = 'a'): void {
    this.topics.set(name, {
      name,
      errorCode: 0,
      topicId,
      partitions: leaders.map((leaderId) => ({ leaderId, leaderEpoch })),
    });
  }

  setTopicError(name: string, errorCode: number): void {
    this.topics.set(name, { name, errorCode, topicId: undefined, partitions: [] });
  }

  /** The request that was sent last but `back`. */
  last(back = 0): SentRequest {
    return this.requests.at(-1 - back)!;
  }

  setBrokers(brokers: readonly BrokerEndpoint[]): void {
    this.brokers = brokers;
  }

  isReady(brokerId: number): boolean {
    return !this.unready.has(brokerId);
  }

  fetchMetadata(topics: readonly string[]): Promise<ClusterMetadata> {
    this.metadataRequests++;
    if (this.metadataFailure !== undefined) return Promise.reject(this.metadataFailure);
    return Promise.resolve({
      brokers: [1, 2, 3].map((nodeId) => ({ nodeId, host: '127.0.0.1', port: nodeId })),
      topics: topics.map(
        (name) => this.topics.get(name) ?? { name, errorCode: 3, topicId: undefined, partitions: [] },
      ),
    });
  }

  initProducerId(): Promise<ProducerIdAndEpoch> {
    if (this.producerIdFailure !== undefined) return Promise.reject(this.producerIdFailure);
    return Promise.resolve({ producerId: this.#nextProducerId++, epoch: 0 });
  }

  produce(brokerId: number, batches: readonly ProducerBatch[]): Promise<ProduceResponse> {
    return new Promise((resolve, reject) => {
      this.requests.push(new SentRequest(brokerId, batches, resolve, reject));
    });
  }

  connectionState(): ConnectionState {
    return {
      connectedBrokers: this.connectedBrokers,
      lastFailure: undefined,
      securityFailures: [],
      unreachableSinceMs: undefined,
    };
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}
