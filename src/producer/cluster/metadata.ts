import { errorMessage } from '../../core/errors.ts';
import type { PartitionQueue } from '../batches/partition-queue.ts';
import type { ProducerContext } from '../context.ts';
import type { ProducerError } from '../errors.ts';
import { KafkaError, KafkaErrorCode } from './kafka-errors.ts';
import type { BrokerEndpoint, ClusterMetadata, TopicMetadata } from './port.ts';
import { Topic, type TopicOptions } from './topic.ts';

/** Called with partitions that don't exist any more: their topic was created anew with fewer. */
type OnPartitionsGone = (queues: readonly PartitionQueue[]) => void;

/**
 * What is known of the cluster: brokers, and for each topic in use its partitions' leaders or its fault. One
 * request at a time, for all topics in use; repeated with backoff while something is missing.
 */
export class Metadata {
  readonly #context: ProducerContext;
  readonly #topicOptions: TopicOptions;
  readonly #onPartitionsGone: OnPartitionsGone;
  readonly #topics = new Map<string, Topic>();
  readonly #brokers = new Map<number, BrokerEndpoint>();
  #inProgress = false;
  #requested = false;
  /** A topic was never asked for: its records should not wait for a backoff. */
  #urgent = false;
  #incomplete = false;
  #attempts = 0;
  #lastAttemptMs = Number.NEGATIVE_INFINITY;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;

  constructor(context: ProducerContext, topicOptions: TopicOptions, onPartitionsGone: OnPartitionsGone) {
    this.#context = context;
    this.#topicOptions = topicOptions;
    this.#onPartitionsGone = onPartitionsGone;
  }

  get topics(): ReadonlyMap<string, Topic> {
    return this.#topics;
  }

  /** The topic, which is looked up from now on if it is new. */
  topic(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = new Topic(name, this.#topicOptions);
      this.#topics.set(name, topic);
      this.#urgent = true;
      this.requestUpdate();
    }
    return topic;
  }

  /** Forgets topics that were never there: nothing can be on its way to them. Who waits for one tries again. */
  forgetMissing(except: readonly string[]): void {
    for (const [name, topic] of [...this.#topics]) {
      if (topic.partitionCount > 0 || except.includes(name)) continue;
      this.#topics.delete(name);
      topic.bottleneck.wake();
    }
  }

  /** Something we know is wrong: read it again, at most once a backoff. */
  requestUpdate(): void {
    if (this.#requested) return;
    this.#requested = true;
    this.#context.loop.wakeup();
  }

  /** Brokers that a response named along with a new leader (KIP-951). */
  addBrokers(endpoints: readonly BrokerEndpoint[]): void {
    if (endpoints.length === 0) return;
    for (const endpoint of endpoints) this.#brokers.set(endpoint.nodeId, endpoint);
    this.#context.port.setBrokers([...this.#brokers.values()]);
  }

  /** Starts an update if one is due; milliseconds until the next may be, Infinity while one is under way. */
  maybeUpdate(nowMs: number): number {
    if (this.#inProgress || this.#topics.size === 0) return Number.POSITIVE_INFINITY;
    const restMs = this.#restMs(nowMs);
    if (restMs > 0) return restMs;
    void this.#update(nowMs);
    return Number.POSITIVE_INFINITY;
  }

  #restMs(nowMs: number): number {
    if (this.#urgent) return 0;
    if (this.#requested || this.#incomplete) {
      // The pause also holds after a success: what is asked for again and again is answered once a backoff.
      return this.#lastAttemptMs + this.#context.retryBackoffMs(Math.max(1, this.#attempts)) - nowMs;
    }
    return this.#lastSuccessMs + this.#context.config.metadataMaxAgeMs - nowMs;
  }

  async #update(nowMs: number): Promise<void> {
    this.#inProgress = true;
    this.#requested = false;
    this.#urgent = false;
    this.#lastAttemptMs = nowMs;
    this.#attempts++;
    let cluster: ClusterMetadata;
    try {
      cluster = await this.#context.port.fetchMetadata([...this.#topics.keys()]);
    } catch (error) {
      this.#requested = true;
      this.#context.logger.debug({ reason: errorMessage(error) }, 'metadata could not be read');
      this.#context.loop.wakeup();
      return;
    } finally {
      this.#inProgress = false;
    }
    this.#apply(cluster);
  }

  #apply(cluster: ClusterMetadata): void {
    this.#lastSuccessMs = this.#context.clock.monotonicMs();
    this.#brokers.clear();
    for (const broker of cluster.brokers) this.#brokers.set(broker.nodeId, broker);
    this.#context.port.setBrokers(cluster.brokers);

    this.#incomplete = false;
    const woken: Topic[] = [];
    for (const answer of cluster.topics) {
      const topic = this.#topics.get(answer.name);
      if (topic === undefined) continue;
      const { fault } = topic;
      this.#applyTopic(topic, answer);
      // A new fault is news too: some would rather fail than wait.
      if (topic.usable || topic.fault?.code !== fault?.code) woken.push(topic);
      if (!topic.usable || topic.partitions.some((queue) => queue.leaderId === -1)) this.#incomplete = true;
    }
    if (!this.#incomplete && !this.#requested) this.#attempts = 0;
    for (const topic of woken) topic.bottleneck.wake();
    this.#context.loop.wakeup();
  }

  #applyTopic(topic: Topic, answer: TopicMetadata): void {
    if (answer.errorCode === KafkaErrorCode.NONE) {
      if (topic.fault !== undefined) {
        this.#context.logger.info({ topic: topic.name }, 'the topic can be sent to again');
      }
      topic.fault = undefined;
      const gone = topic.update(answer.topicId, answer.partitions);
      if (gone.length > 0) this.#onPartitionsGone(gone);
      return;
    }
    // No leader yet is the cluster's business of a moment, not a fault of the topic.
    if (answer.errorCode === KafkaErrorCode.LEADER_NOT_AVAILABLE) return;
    this.reportFault(topic, new KafkaError(answer.errorCode, `topic '${topic.name}'`));
  }

  /** The topic can't be sent to until an update says otherwise. */
  reportFault(topic: Topic, fault: ProducerError): void {
    if (topic.fault?.code !== fault.code) {
      this.#context.logger.warn(
        { topic: topic.name, code: fault.code },
        'the topic can not be sent to; its records wait',
      );
    }
    topic.fault = fault;
    this.#incomplete = true;
  }

  /** Why topics in use can't be sent to. */
  faults(): ReadonlyMap<string, ProducerError> {
    const faults = [...this.#topics].flatMap(([name, { fault }]) =>
      fault === undefined ? [] : [[name, fault] as const],
    );
    return new Map(faults);
  }
}
