import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { within } from '../../core/clock.ts';
import { createAdmin } from './kafkajs.ts';
import { securityFailure } from '../security/failure.ts';
import type { ClientSecurity } from '../security/security.ts';
import { ensureTopics, type TopicShape, type TopicSpec, type TopicStatus } from './topics.ts';

export interface TopicKeeperOptions {
  readonly bootstrapServers: readonly string[];
  readonly clientId: string;
  readonly security: ClientSecurity;
  readonly topics: readonly string[];
  readonly settings: {
    readonly create: boolean;
    readonly partitions: number;
    /** undefined: the brokers' default. */
    readonly replicationFactor: number | undefined;
    readonly config: Readonly<Record<string, string>>;
  };
  /** Called each time that something was created or found; at least once when all are there. */
  readonly onFound: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

const RETRY_MS = 5_000;
/** How long a topic that a message names waits for others: they are looked up together. */
const ADDED_MS = 50;
/** After failures that only a person can mend, and that brokers may count. */
const SECURITY_RETRY_MS = 30_000;
/** How long a start waits for the cluster's first answer before it goes on without. */
const FIRST_LOOK_MS = 4_000;
/** What it takes for an acknowledged record to survive the loss of a broker. */
const SAFE_REPLICATION = 3;
const SAFE_IN_SYNC = 2;

/**
 * Sees to it that the gateway's Kafka topics exist: creates them where it may, and looks again until all of
 * them are there, so that a topic or a right that an operator grants later is noticed without a restart.
 */
export class TopicKeeper {
  readonly #options: TopicKeeperOptions;
  #topics: readonly string[];
  #statuses: readonly TopicStatus[] = [];
  #trouble: string | undefined = 'not looked up yet';
  #retryMs = RETRY_MS;
  #cancelRetry: Cancel = () => {};
  #looking: Promise<void> | undefined;
  /** Topics were added since the look began. */
  #isOutdated = false;
  #stopped = false;

  constructor(options: TopicKeeperOptions) {
    this.#options = options;
    this.#topics = options.topics;
  }

  /** All that are seen to. */
  get topics(): readonly string[] {
    return this.#topics;
  }

  /** Sees to one more topic, which a message has named. */
  add(topic: string): void {
    if (this.#stopped || this.#topics.includes(topic)) return;
    this.#topics = [...this.#topics, topic];
    this.#lookSoon();
  }

  /** Sees to these topics from now on, and to no others. */
  replace(topics: readonly string[]): void {
    if (this.#stopped) return;
    this.#topics = topics;
    this.#statuses = this.#statuses.filter(({ topic }) => topics.includes(topic));
    this.#lookSoon();
  }

  #lookSoon(): void {
    if (this.#looking === undefined) this.#lookIn(ADDED_MS);
    else this.#isOutdated = true;
  }

  #lookIn(delayMs: number): void {
    this.#cancelRetry();
    this.#cancelRetry = this.#options.clock.schedule(() => {
      void this.#look();
    }, delayMs);
  }

  /** Resolves after the first answer of the cluster, or after a few seconds without one. */
  async start(): Promise<void> {
    await within(this.#options.clock, FIRST_LOOK_MS, this.#look());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRetry();
  }

  /** Why records can't be sent to topics, one text each. */
  problems(): string[] {
    if (this.#trouble !== undefined) return [this.#trouble];
    return this.#statuses.flatMap((status) =>
      'reason' in status ? [`${status.topic}: ${status.reason}`] : [],
    );
  }

  /** What an operator should know about topics that hold less than `ack: kafka` sounds like. */
  warnings(): string[] {
    const weak = this.#statuses.flatMap((status) =>
      'shape' in status && !isSafe(status.shape) ? [status] : [],
    );
    const [first] = weak;
    if (first === undefined) return [];
    const names = weak.map(({ topic }) => topic).join(', ');
    const { replicationFactor, minInsyncReplicas } = first.shape;
    const shape = `replication factor ${replicationFactor}, min.insync.replicas ${minInsyncReplicas ?? 'unknown'}`;
    return [
      `what is acknowledged may be lost with one broker's disk or power: ${names} (${shape}; ` +
        `${SAFE_REPLICATION} and ${SAFE_IN_SYNC} are safe)`,
    ];
  }

  /** One look at a time, and one timer for the next: topics may be added at any moment. */
  #look(): Promise<void> {
    this.#cancelRetry();
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
      if (this.#stopped) return;
      if (this.#isOutdated) this.#lookIn(ADDED_MS);
      else if (this.problems().length > 0) this.#lookIn(this.#retryMs);
      this.#isOutdated = false;
    });
    return this.#looking;
  }

  /** Never rejects: what went wrong is in {@link problems}. */
  async #lookOnce(): Promise<void> {
    const { bootstrapServers, clientId, security, settings, logger, onFound } = this.#options;
    const admin = createAdmin({
      bootstrapServers,
      clientId: `${clientId}-admin`,
      logger,
      // It does not repeat a login that was refused.
      retries: 3,
      security,
    });
    this.#retryMs = RETRY_MS;
    try {
      await admin.connect();
      const statuses = await ensureTopics(admin, this.#specs(), settings.create);
      this.#report(statuses);
      // Other topics may be wanted by now.
      this.#statuses = statuses.filter(({ topic }) => this.#topics.includes(topic));
      this.#trouble = undefined;
      if (statuses.some(({ state }) => state === 'exists' || state === 'created')) onFound();
    } catch (error) {
      const failure = securityFailure(error, 'a broker', security.protocol);
      if (failure !== undefined) this.#retryMs = SECURITY_RETRY_MS;
      const reason = errorMessage(failure ?? error);
      const trouble = `Kafka's topics can't be looked up at ${bootstrapServers.join(', ')}: ${reason}`;
      if (this.#trouble !== trouble)
        logger.warn({ reason }, "Kafka's topics can't be looked up; trying again");
      this.#trouble = trouble;
    } finally {
      await admin.disconnect().catch((error: unknown) => {
        logger.debug({ reason: errorMessage(error) }, 'the admin connection did not end cleanly');
      });
    }
  }

  #specs(): TopicSpec[] {
    const { settings } = this.#options;
    const { partitions, replicationFactor, config } = settings;
    return this.#topics.map((topic) => ({
      topic,
      partitions,
      config,
      ...(replicationFactor === undefined ? {} : { replicationFactor }),
    }));
  }

  /** Logs what changed since the last look. */
  #report(statuses: readonly TopicStatus[]): void {
    const { logger } = this.#options;
    for (const status of statuses) {
      const before = this.#statuses.find(({ topic }) => topic === status.topic);
      if (status.state === 'created') {
        logger.info({ topic: status.topic, partitions: status.shape.partitions }, 'topic created');
      } else if ('reason' in status && before?.state !== status.state) {
        logger.warn({ topic: status.topic, reason: status.reason }, 'the topic is not there; looking again');
      }
    }
  }
}

function isSafe({ replicationFactor, minInsyncReplicas }: TopicShape): boolean {
  return (
    replicationFactor >= SAFE_REPLICATION &&
    (minInsyncReplicas === undefined || minInsyncReplicas >= SAFE_IN_SYNC)
  );
}
