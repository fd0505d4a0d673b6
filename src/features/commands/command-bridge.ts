import type { Condition } from '../../core/readiness.ts';
import { CommandTopic } from './command-topic.ts';
import { commandMetrics } from './command-stats.ts';
import { placeOf } from './command.ts';
import { Undelivered } from './undelivered.ts';
import { commandTopics, type CommandsConfig } from '../../config/commands.ts';
import type { Clock } from '../../core/clock.ts';
import type { DeviceSessions } from '../../core/device-sessions.ts';
import type { Metric } from '../../core/metric.ts';
import type { RecordSink } from '../../delivery/ports.ts';
import { GroupReader } from '../../kafka/clients/group-reader.ts';
import type { KafkaClientOptions } from '../../kafka/clients/ports.ts';

export interface CommandBridgeOptions extends KafkaClientOptions {
  readonly commands: readonly CommandsConfig[];
  readonly producer: RecordSink;
  /** The sessions of devices; asked for with the start. */
  readonly sessions: () => DeviceSessions;
  readonly clock: Clock;
}

/** Kafka topics bridged down to devices: for each its reader, joined with sessions and producer. */
export class CommandBridge {
  /** That it reads and writes. */
  readonly kafkaTopics: readonly string[];
  readonly #options: CommandBridgeOptions;
  readonly #undelivered: Undelivered;
  readonly #topics: readonly CommandTopic[];
  #isStarted = false;

  constructor(options: CommandBridgeOptions) {
    const { commands, clock, logger, producer, sessions } = options;
    this.#options = options;
    this.kafkaTopics = commandTopics(commands);
    this.#undelivered = new Undelivered(producer, clock, logger);
    this.#topics = commands.map((settings) => {
      const { topic, group: groupId } = settings;
      const soleReader = 'one gateway for a command topic for now';
      const source = new GroupReader({ ...options, groupId, topic, soleReader });
      const undelivered = this.#undelivered;
      return new CommandTopic({ settings, source, sessions, undelivered, clock, logger });
    });
  }

  /** Begins to read commands, whether or not Kafka is there. */
  start(): void {
    this.#isStarted = true;
    this.#options.sessions().onAbandoned((message, reason, forget) => {
      const { clientId, reference } = message;
      const place = placeOf(reference);
      const topic = this.#topics.find((one) => one.topic === place?.topic);
      if (place !== undefined && topic !== undefined) {
        topic.abandoned(message, place, reason, forget);
        return;
      }
      // Nobody knows any more where it would be written; the log is what is left.
      const text = 'a stored command is given up, and its topic is configured no more';
      this.#options.logger.warn({ client: clientId, reference, reason }, text);
      forget();
    });
    for (const topic of this.#topics) topic.start();
  }

  /** Takes no further commands; those on their way go on. */
  pause(): void {
    for (const topic of this.#topics) topic.pause();
  }

  /** Commits what has ended and leaves the groups. Commands still on their way come again after the next start. */
  async stop(): Promise<void> {
    if (this.#isStarted) await Promise.all(this.#topics.map((topic) => topic.stop()));
    this.#undelivered.close();
  }

  /** Only where there are command topics. */
  conditions(): Condition[] {
    if (this.#topics.length === 0) return [];
    const problems = this.#topics.flatMap(({ problem }) => problem ?? []);
    const ready = problems.length === 0;
    const names = this.#topics.map(({ topic }) => topic).join(', ');
    return [{ name: 'commands', ready, reason: ready ? `reading ${names}` : problems.join('; ') }];
  }

  metrics(): Metric[] {
    return commandMetrics(this.#topics);
  }
}
