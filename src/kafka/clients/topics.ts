import { within, type Cancel, type Clock } from '../../core/clock.ts';
import { errorMessage, SluiceError } from '../../core/errors.ts';
import { BrokerSecurityError } from '../security/failure.ts';
import { withAdmin } from './admin-client.ts';
import {
  KafkaClientError,
  type AdminPort,
  type KafkaClientOptions,
  type TopicLayout,
  type TopicSpec,
} from './ports.ts';

/** What protects the records of a topic against the loss of brokers. */
export interface TopicShape extends TopicLayout {
  /** undefined when we may not see it. */
  readonly minInsyncReplicas: number | undefined;
}

/** What became of a {@link TopicSpec}. */
export type TopicStatus =
  | { readonly topic: string; readonly state: 'exists' | 'created'; readonly shape: TopicShape }
  | {
      readonly topic: string;
      /** `missing`: it is not there, and was not, or may not be, created. `error`: it could not be found out. */
      readonly state: 'missing' | 'error';
      readonly reason: string;
      /** The protocol's name of the error, e.g. TOPIC_AUTHORIZATION_FAILED, where there is one. */
      readonly code: string | undefined;
    };

/** The part of an administration that topics need. */
type TopicAdmin = Pick<AdminPort, 'listTopics' | 'createTopic' | 'describeTopics' | 'topicConfig'>;

const NOT_AUTHORISED = /^(TOPIC|CLUSTER)_AUTHORIZATION_FAILED$/;

/**
 * Makes sure that the topics are there. Existing ones are taken as they are; missing ones are created if `create`
 * says so. One topic's trouble is in its own status and doesn't keep the others from being looked at.
 *
 * @param admin its own retries cover brokers that are still loading
 * @throws KafkaClientError, BrokerSecurityError no broker answers at all
 */
export async function ensureTopics(
  admin: TopicAdmin,
  specs: readonly TopicSpec[],
  create: boolean,
): Promise<TopicStatus[]> {
  const existing = new Set(await admin.listTopics());
  const statuses: TopicStatus[] = [];
  for (const spec of specs) {
    statuses.push(await ensureTopic(admin, spec, existing.has(spec.topic), create));
  }
  return statuses;
}

async function ensureTopic(
  admin: TopicAdmin,
  spec: TopicSpec,
  exists: boolean,
  create: boolean,
): Promise<TopicStatus> {
  const { topic } = spec;
  if (!exists && !create) {
    const reason = "it doesn't exist (or we may not see it), and 'kafka.topics.create' is false";
    return { topic, state: 'missing', reason, code: 'UNKNOWN_TOPIC_OR_PARTITION' };
  }
  try {
    // False: somebody else was faster.
    const created = !exists && (await admin.createTopic(spec));
    return { topic, state: created ? 'created' : 'exists', shape: await describeTopic(admin, topic) };
  } catch (error) {
    const code = error instanceof SluiceError ? error.code : undefined;
    if (!exists && NOT_AUTHORISED.test(code ?? '')) {
      const reason = 'it does not exist, and we are not authorised to create it';
      return { topic, state: 'missing', reason, code };
    }
    return { topic, state: 'error', reason: errorMessage(error), code };
  }
}

/** To see a setting needs a right to the topic's configuration that a producer does not need. */
async function describeTopic(admin: TopicAdmin, topic: string): Promise<TopicShape> {
  const [layout] = await admin.describeTopics([topic]);
  if (layout === undefined) throw new KafkaClientError('UNKNOWN_TOPIC_OR_PARTITION', `no topic ${topic}`);
  const value = await admin.topicConfig(topic, 'min.insync.replicas').catch(() => undefined);
  return { ...layout, minInsyncReplicas: value === undefined ? undefined : Number(value) };
}

export interface TopicKeeperOptions extends KafkaClientOptions {
  readonly topics: readonly string[];
  /** Of those that don't exist, and whether they are created. */
  readonly settings: Omit<TopicSpec, 'topic'> & { readonly create: boolean };
  /** Called each time that something was created or found; at least once when all are there. */
  readonly onFound: () => void;
  readonly clock: Clock;
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
    const troubles = this.#statuses.filter((status) => 'reason' in status);
    return troubles.map(({ topic, reason }) => `${topic}: ${reason}`);
  }

  /** What an operator should know about topics that hold less than `ack: kafka` sounds like. */
  warnings(): string[] {
    const weak = this.#statuses.filter((status) => 'shape' in status).filter(({ shape }) => !isSafe(shape));
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
    const { bootstrapServers, clientId, settings, logger, onFound } = this.#options;
    const { create, ...spec } = settings;
    const specs = this.#topics.map((topic) => ({ topic, ...spec }));
    // A login that was refused is not repeated by the client.
    const client = { ...this.#options, clientId: `${clientId}-admin`, retries: 3 };
    this.#retryMs = RETRY_MS;
    try {
      const statuses = await withAdmin(client, (admin) => ensureTopics(admin, specs, create));
      this.#report(statuses);
      // Other topics may be wanted by now.
      this.#statuses = statuses.filter(({ topic }) => this.#topics.includes(topic));
      this.#trouble = undefined;
      if (statuses.some(({ state }) => state === 'exists' || state === 'created')) onFound();
    } catch (error) {
      if (error instanceof BrokerSecurityError) this.#retryMs = SECURITY_RETRY_MS;
      const reason = errorMessage(error);
      const trouble = `Kafka's topics can't be looked up at ${bootstrapServers.join(', ')}: ${reason}`;
      const isNews = this.#trouble !== trouble;
      if (isNews) logger.warn({ reason }, "Kafka's topics can't be looked up; trying again");
      this.#trouble = trouble;
    }
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
  return replicationFactor >= SAFE_REPLICATION && (minInsyncReplicas ?? SAFE_IN_SYNC) >= SAFE_IN_SYNC;
}
