import { AdminServer } from './admin/admin-server.ts';
import { readinessOf, type Condition, type Readiness } from './core/readiness.ts';
import { auditTrail, type AuditTrail } from './features/audit/audit-trail.ts';
import type { Blueprint, DrawnBlueprint } from './assembly/blueprint.ts';
import { CaptureTap, openCapture } from './features/capture/capture-tap.ts';
import { ClockWatch } from './assembly/clock-watch.ts';
import { CommandBridge } from './features/commands/command-bridge.ts';
import { deliverLast } from './assembly/final-delivery.ts';
import { LiveRoutes } from './assembly/live-routes.ts';
import { mqttEdgeOptions, openListeners, sessionsCondition } from './assembly/mqtt-edge.ts';
import { presenceRecords } from './features/presence/presence-records.ts';
import { ProfileReload, type ReloadCause } from './assembly/profile-reload.ts';
import type { RouteSet } from './assembly/route-set.ts';
import { JournalStore, needsJournal, promisesDisk } from './assembly/journal-store.ts';
import { kafkaConditions } from './assembly/kafka-conditions.ts';
import { connectSchemaRegistry } from './assembly/value-framing.ts';
import { within, type Clock } from './core/clock.ts';
import type { Logger } from './core/logger.ts';
import type { Metric } from './core/metric.ts';
import { deviceMetrics, reportDevices } from './decode/device-metrics.ts';
import { Delivery } from './delivery/delivery.ts';
import { Ledger, acknowledgedButLost, reportLedger } from './delivery/ledger/ledger.ts';
import { LedgerWatch } from './delivery/ledger/ledger-watch.ts';
import { ClusterPort } from './kafka/connection/cluster-port.ts';
import { startLocalKafka, type LocalKafka } from './testbed/local-kafka/local-kafka.ts';
import { TopicKeeper } from './kafka/clients/topics.ts';
import { Ingress } from './mqtt/ingress.ts';
import { ingressMetrics, storageMetrics } from './mqtt/stats.ts';
import { listenerUrl, plainListener, urlHost } from './mqtt/edge/listener-spec.ts';
import { producerMetrics } from './producer/metrics.ts';
import { Producer } from './producer/producer.ts';

export interface GatewayOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Of the program. */
  readonly version: string;
  /** One short line for each step of the start. */
  readonly onProgress: (line: string) => void;
  /** Reads the configuration again, for {@link Gateway.reload}; see drawBlueprint. */
  readonly redraw: (running: Blueprint) => DrawnBlueprint;
}

/** The counts of all deliveries so far. */
export interface Totals {
  readonly received: number;
  /** Records and dead letters that Kafka acknowledged. */
  readonly produced: number;
  readonly acknowledged: number;
  /** Acknowledged, and in no place: 0 unless there is a defect. */
  readonly lost: number;
}

export interface StopReport {
  /** Deliveries that Kafka had not acknowledged when the time was up. Their devices were not acknowledged. */
  readonly undelivered: number;
}

/**
 * One gateway: every stage, built from a blueprint and joined. The only place that knows them all, and the
 * order in which they start and stop.
 */
export class Gateway {
  readonly #blueprint: Blueprint;
  readonly #options: GatewayOptions;
  readonly #producer: Producer;
  readonly #audit: AuditTrail;
  readonly #routes: LiveRoutes;
  readonly #reload: ProfileReload;
  readonly #delivery: Delivery;
  readonly #captures: CaptureTap;
  readonly #presence: ReturnType<typeof presenceRecords>;
  readonly #ingress: Ingress;
  readonly #topics: TopicKeeper;
  readonly #commands: CommandBridge;
  readonly #admin: AdminServer;
  /** Opened by start, if a contract needs it. */
  #store: JournalStore | undefined;
  readonly #ledgerWatch: LedgerWatch;
  readonly #clockWatch: ClockWatch;
  #localKafka: LocalKafka | undefined;
  #isAccepting = false;

  /** The stages, in the order in which each needs the ones before it; nothing is opened yet. */
  constructor(blueprint: Blueprint, options: GatewayOptions) {
    this.#blueprint = blueprint;
    this.#options = options;
    const { config, services } = blueprint;
    const { clock } = options;
    this.#producer = this.#buildProducer();
    this.#audit = auditTrail(this.#producer, config, clock, this.#by('audit').logger);
    const ledger = new Ledger();
    this.#routes = new LiveRoutes(blueprint, ledger);
    this.#delivery = this.#buildDelivery(ledger);
    this.#captures = new CaptureTap(this.#delivery, () => clock.wallMs());
    this.#presence = presenceRecords(config, { outlet: this.#producer, ...this.#by('presence') });
    this.#ingress = new Ingress({
      ...mqttEdgeOptions(config.mqtt, options.version),
      sink: this.#captures,
      presence: this.#presence,
      ...this.#by('mqtt'),
    });
    this.#topics = this.#buildTopics();
    this.#commands = this.#buildCommands();
    this.#reload = new ProfileReload({
      blueprint,
      redraw: options.redraw,
      exchange: (set) => this.#exchange(set),
      ...this.#by('profiles'),
    });
    this.#ledgerWatch = new LedgerWatch({
      ledger: this.#delivery.ledger,
      journal: () => this.#store?.book,
      ...this.#by('ledger'),
    });
    this.#clockWatch = new ClockWatch(this.#by('clock'));
    this.#admin = this.#buildAdmin();

    services.topics.connect((topic) => this.#topics.add(topic));
    services.commands.publish = (topic, payload) => this.#ingress.publish(topic, payload);
    connectSchemaRegistry(blueprint.config, blueprint.services.framings, this.#by('schema-registry'));
  }

  /** Time, and a log in which the stage says who it is. */
  #by(stage: string): { readonly clock: Clock; readonly logger: Logger } {
    const { clock, logger } = this.#options;
    return { clock, logger: logger.child({ stage }) };
  }

  /** How a client of Kafka finds the cluster, and who it says it is. */
  get #cluster() {
    const { producer, config, security } = this.#blueprint;
    const { bootstrapServers } = producer;
    return { bootstrapServers, clientId: config.kafka.clientId, security };
  }

  #buildProducer(): Producer {
    const { producer: config, security } = this.#blueprint;
    const port = new ClusterPort({ config, security, ...this.#by('kafka') });
    return new Producer({ config, port, ...this.#by('producer') });
  }

  #buildDelivery(ledger: Ledger): Delivery {
    return new Delivery({
      resolve: (topic) => this.#routes.resolve(topic),
      ledger,
      records: this.#audit.records,
      types: this.#routes,
      unrouted: this.#blueprint.config.unrouted,
      ...this.#by('delivery'),
    });
  }

  #buildTopics(): TopicKeeper {
    return new TopicKeeper({
      ...this.#cluster,
      topics: this.#blueprint.kafkaTopics,
      settings: this.#blueprint.config.kafka.topics,
      onFound: () => this.#producer.prepare(this.#topics.topics),
      ...this.#by('topics'),
    });
  }

  #buildCommands(): CommandBridge {
    return new CommandBridge({
      ...this.#cluster,
      commands: this.#blueprint.config.commands,
      producer: this.#producer,
      sessions: () => this.#ingress.deviceSessions,
      ...this.#by('commands'),
    });
  }

  #buildAdmin(): AdminServer {
    return new AdminServer({
      ...this.#blueprint.config.admin,
      readiness: () => this.readiness(),
      metrics: () => this.#metrics(),
      devices: (worst) => reportDevices(this.#routes.set.compiled.values(), worst),
      ledger: () => reportLedger(this.#delivery.ledger, this.#routes.set.profiles),
      capture: (query) => openCapture(this.#captures, query),
    });
  }

  /** Each stage has a table of its own. */
  #metrics(): readonly Metric[] {
    return [
      ...this.#delivery.metrics(),
      ...(this.#store?.metrics() ?? []),
      ...this.#ledgerWatch.metrics(),
      ...this.#clockWatch.metrics(),
      ...ingressMetrics(() => this.#ingress.stats),
      ...storageMetrics(() => this.#ingress.storage),
      ...producerMetrics(this.#producer.stats, () => this.#producer.buffer),
      ...(this.#audit.log?.metrics() ?? []),
      ...deviceMetrics(() => this.#routes.set.compiled.values()),
      ...this.#reload.metrics(),
      ...this.#commands.metrics(),
      ...(this.#presence?.metrics() ?? []),
    ];
  }

  /**
   * Puts another set of routes to use between two publications. Publications that wait because of the old set are
   * tried again.
   */
  #exchange(set: RouteSet): void {
    const { services, config } = this.#blueprint;
    this.#routes.exchange(set);
    this.#delivery.routesChanged();
    this.#store?.policiesChanged();
    services.retain(set.profiles);
    const unrouted = config.unrouted.policy === 'dead-letter' ? [config.unrouted.deadLetterTopic] : [];
    const topics = [
      ...new Set([...set.kafkaTopics, ...this.#commands.kafkaTopics, ...services.topics.topics, ...unrouted]),
    ];
    this.#topics.replace(topics);
    this.#ingress.offerAgain();
    this.#producer.forgetMissingTopics(topics);
  }

  /** Opens the journal, if a profile promises the disk. Records that a former process left are sent from now on. */
  async #openStore(): Promise<void> {
    const { config, profiles } = this.#blueprint;
    if (!needsJournal(config, profiles)) return;
    this.#store = await JournalStore.open({
      config,
      records: this.#audit.records,
      isProducerBehind: () => this.#producer.isBehind,
      ledger: this.#delivery.ledger,
      publications: () => this.#ingress.publicationMemory,
      types: this.#routes,
      clock: this.#options.clock,
      logger: this.#options.logger,
    });
    this.#delivery.connectStore(this.#store.store);
    this.#store.store.start();
  }

  /**
   * Opens the ports, then sees to Kafka. The start does not fail if your own brokers can't be reached: devices
   * wait, and `/readyz` says why. After an error the caller must still call {@link stop}.
   * @throws SluiceError a journal that is in use or can't be read, a port that can't be opened, or a local Kafka
   * that can't be started
   */
  async start(): Promise<void> {
    this.#clockWatch.start();
    const { config, services } = this.#blueprint;
    services.registries.watch(this.#options.clock, this.#by('registry').logger);
    await this.#openStore();
    this.#ledgerWatch.start();
    this.#reload.start();
    await this.#admin.start();
    await this.#ingress.start(this.#store?.recalled);
    this.#isAccepting = true;
    if (config.kafka.bootstrapServers === undefined) {
      this.#localKafka = await startLocalKafka({
        ...config.kafka.local,
        ...this.#by('local-kafka'),
        onProgress: this.#options.onProgress,
      });
    }
    await this.#topics.start();
    this.#commands.start();
  }

  /**
   * Reads profiles and schemas again, all or nothing; the log says how it ended. No received message is lost by
   * it. Returns whether the new set is in use.
   */
  reload(cause: ReloadCause): boolean {
    return this.#isAccepting && this.#reload.reload(cause);
  }

  /**
   * Stops accepting, has Kafka or the disk acknowledge the messages that were read, tells the devices, and closes
   * everything. After shutdown.timeout.ms it waits no longer. May be called after a start that failed.
   */
  async stop(): Promise<StopReport> {
    const { shutdownTimeoutMs } = this.#blueprint.config;
    const { clock } = this.#options;
    this.#isAccepting = false;
    this.#reload.stop();
    this.#blueprint.services.registries.stop();
    this.#topics.stop();
    this.#commands.pause();
    await this.#ingress.stopAccepting();
    const { ledger } = this.#delivery;
    const stages = { producer: this.#producer, store: this.#store, ledger, ingress: this.#ingress };
    await deliverLast(stages, clock, shutdownTimeoutMs);
    await this.#commands.stop();
    const undelivered = ledger.total().open;
    await this.#ingress.close();
    if (this.#presence !== undefined) {
      await within(clock, Math.min(shutdownTimeoutMs, 2_000), this.#presence.settled());
    }
    this.#captures.close();
    this.#blueprint.services.framings.close();
    await this.#producer.close(0);
    this.#ledgerWatch.stop();
    this.#clockWatch.stop();
    await this.#store?.close();
    await this.#audit.close(shutdownTimeoutMs);
    await this.#admin.close();
    await this.#localKafka?.stop();
    return { undelivered };
  }

  readiness(): Readiness {
    const kafka = this.#kafkaConditions();
    const canWait = kafka.some(({ required }) => required === false);
    return readinessOf([
      this.#mqttCondition(),
      ...sessionsCondition(this.#ingress.storage),
      ...kafka,
      ...this.#schemasCondition(),
      ...this.#clockWatch.conditions(),
      { name: 'profiles', ready: true, reason: this.#reload.description() },
      ...this.#commands.conditions().map((one) => (canWait ? { ...one, required: false } : one)),
      ...(this.#store === undefined ? [] : [this.#store.condition()]),
    ]);
  }

  /** There only if values are framed. */
  #schemasCondition(): Condition[] {
    if (this.#blueprint.config.kafka.schemaRegistry === undefined) return [];
    const problems = this.#blueprint.services.framings.problems();
    const ready = problems.length === 0;
    return [{ name: 'schemas', ready, reason: ready ? 'all schemas are registered' : problems.join('; ') }];
  }

  #kafkaConditions(): Condition[] {
    const { producer, config } = this.#blueprint;
    return kafkaConditions({
      servers: producer.bootstrapServers,
      connection: this.#producer.connectionState(),
      localFault: this.#localKafka?.lastFault,
      topicProblems: [
        ...this.#topics.problems(),
        ...[...this.#producer.topicFaults()].map(([topic, fault]) => `${topic}: ${fault.message}`),
      ],
      canWait:
        this.#store !== undefined &&
        config.unrouted.policy !== 'dead-letter' &&
        this.#routes.set.profiles.every(promisesDisk),
    });
  }

  #mqttCondition(): Condition {
    return {
      name: 'mqtt',
      ready: this.#isAccepting,
      reason: this.#isAccepting ? `listening on ${this.mqttUrls().join(', ')}` : 'not accepting connections',
    };
  }

  totals(): Totals {
    const total = this.#delivery.ledger.total();
    const [qos0, qos1, qos2] = this.#ingress.stats.received;
    return {
      received: qos0 + qos1 + qos2,
      produced: total.produced + total.deadLettered,
      acknowledged: total.acknowledged,
      lost: acknowledgedButLost(total),
    };
  }

  /** Where devices connect, as this machine reaches it. */
  mqttUrls(): string[] {
    return this.#ingress.addresses().map(({ url }) => url);
  }

  /** Where a client can connect that has nothing but the URL; undefined if there is no such listener. */
  plainMqttUrl(): string | undefined {
    const listener = plainListener(this.#ingress.addresses().map(({ spec }) => spec));
    return listener === undefined ? undefined : listenerUrl(listener);
  }

  adminUrl(): string {
    return `http://${urlHost(this.#blueprint.config.admin.host)}:${this.#admin.port}`;
  }

  kafkaDescription(): string {
    const servers = this.#blueprint.producer.bootstrapServers.join(', ');
    if (this.#localKafka === undefined) return servers;
    const { dataDir } = this.#blueprint.config.kafka.local;
    const origin = this.#localKafka.adopted ? 'adopted from an earlier run' : 'started for you';
    return `${servers}  (local, ${origin}; data in ${dataDir})`;
  }

  /** What an operator should know before trusting this gateway with devices. */
  warnings(): string[] {
    const open = openListeners(this.#ingress.addresses().map(({ spec }) => spec));
    const kafka = this.#localKafka === undefined ? this.#topics.warnings() : [LOCAL_KAFKA_PROMISE];
    return [...this.#clockWatch.warnings(), ...open, ...kafka];
  }
}

const LOCAL_KAFKA_PROMISE =
  'the local Kafka is one broker: it survives kill -9, not the loss of power or of its disk';
