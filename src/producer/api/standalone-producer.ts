import { systemClock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { Header, ProducerRecord as Fields } from '../../core/record.ts';
import { ClusterPort } from '../../kafka/connection/cluster-port.ts';
import { parseProducerConfig, type RawProducerConfig } from '../config/config.ts';
import { ProducerError } from '../errors.ts';
import { Producer, type ProducerOptions, type UndeliveredRecords } from '../producer.ts';

export interface StandaloneProducerOptions<K, V> extends Pick<
  ProducerOptions<K, V>,
  'keySerializer' | 'valueSerializer' | 'partitioner'
> {
  /** E.g. a pino logger. Left out, warnings and errors go to stderr. */
  readonly logger?: Logger;
}

/**
 * A {@link Producer} as an application makes it: from settings under Kafka's own names, with its connections to
 * the cluster.
 *
 * ```ts
 * const producer = new Producer(
 *   { 'bootstrap.servers': 'localhost:9092', 'compression.type': 'lz4' },
 *   { keySerializer: new StringSerializer(), valueSerializer: new JsonSerializer<Order>() },
 * );
 * ```
 */
export class StandaloneProducer<K = Uint8Array, V = Uint8Array> extends Producer<K, V> {
  readonly #forgetExit: () => void;

  /** @throws ProducerError CONFIG_INVALID, with everything that is wrong, a line each */
  constructor(settings: RawProducerConfig, options: StandaloneProducerOptions<K, V> = {}) {
    const { logger = stderrLogger(), ...rest } = options;
    const config = usableConfig(settings);
    const shared = { config, clock: systemClock, logger };
    super({ ...shared, ...rest, port: new ClusterPort(shared) });
    const onExit = () => this.processEnds();
    // A listener each is no leak: close() takes it away.
    process.setMaxListeners(process.getMaxListeners() + 1).once('exit', onExit);
    this.#forgetExit = () => {
      if (process.listeners('exit').includes(onExit)) {
        process.off('exit', onExit).setMaxListeners(process.getMaxListeners() - 1);
      }
    };
  }

  override async close(timeoutMs?: number): Promise<readonly UndeliveredRecords[]> {
    const undelivered = await super.close(timeoutMs);
    this.#forgetExit();
    return undelivered;
  }

  /** `await using producer = new Producer(...)`: closed, with all delivered, when its block is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function usableConfig(settings: RawProducerConfig) {
  const { config, faults } = parseProducerConfig(settings);
  const found = faults.map(({ path, found, expected }) => `${path.join('.')}: ${expected}; found ${found}`);
  if (config.bootstrapServers.length === 0 && settings['bootstrap.servers'] === undefined) {
    found.unshift('bootstrap.servers: host:port of at least one broker; found nothing');
  }
  if (found.length > 0)
    throw new ProducerError('CONFIG_INVALID', `the producer's settings are wrong:\n${found.join('\n')}`);
  return config;
}

/**
 * A record for `send()`, made as in Java: `new ProducerRecord('orders', 'key', value)`. A plain object with the
 * same fields is as good.
 */
export class ProducerRecord<K, V> implements Fields<K, V> {
  readonly topic: string;
  readonly key: K | null;
  readonly value: V | null;
  declare readonly partition?: number;
  declare readonly timestamp?: number;
  declare readonly headers?: readonly Header[];

  /**
   * @param key decides the partition; null leaves it to the producer
   * @param value null is a tombstone: a compacted topic forgets the key
   */
  constructor(
    topic: string,
    key: K | null,
    value: V | null,
    more: Pick<Fields<K, V>, 'partition' | 'timestamp' | 'headers'> = {},
  ) {
    this.topic = topic;
    this.key = key;
    this.value = value;
    Object.assign(this, more);
  }
}

/** What a producer has to say when it is given no logger: warnings and errors, a line each, on stderr. */
export function stderrLogger(write: (line: string) => void = (line) => process.stderr.write(line)): Logger {
  const line = (level: string) => (fields: object, message: string) =>
    write(`sluice/producer ${level}: ${message} ${JSON.stringify(fields)}\n`);
  const logger: Logger = {
    debug() {},
    info() {},
    warn: line('warning'),
    error: line('error'),
    child: () => logger,
  };
  return logger;
}
