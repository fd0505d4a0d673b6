import { NO_HEADERS } from '../../src/core/record.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { parseProducerConfig } from '../../src/producer/config/config.ts';
import { Producer, type ProducerOptions, type Refusal } from '../../src/producer/producer.ts';
import type { BatchResult, RecordTarget } from '../../src/producer/batches/producer-batch.ts';
import { ManualClock } from '../testbed/fleet/manual-clock.ts';
import { defer, ScriptedPort, settled } from './scripted-port.ts';

/** A producer on a scripted port and a manual clock, with the results of its records as they come. */
export class ScriptedProducer implements RecordTarget {
  readonly clock = new ManualClock();
  readonly port = new ScriptedPort();
  readonly producer: Producer;
  /** The values of records in the order of their results; with the error's code behind a failed one. */
  readonly results: string[] = [];
  readonly #values: string[] = [];

  constructor(settings: Readonly<Record<string, unknown>> = {}, options: Partial<ProducerOptions> = {}) {
    const { config, faults } = parseProducerConfig({
      'bootstrap.servers': 'scripted:1',
      'linger.ms': 10,
      'delivery.timeout.ms': Infinity,
      ...settings,
    });
    if (faults.length > 0) throw new Error(JSON.stringify(faults));
    const { clock, port } = this;
    this.producer = new Producer({
      config,
      port,
      clock,
      logger: silentLogger,
      random: () => 0.5,
      defer,
      ...options,
    });
  }

  /** A producer that knows topic `t`, with one partition for each leader. */
  static async withTopic(
    leaders: readonly number[],
    settings: Readonly<Record<string, unknown>> = {},
    options: Partial<ProducerOptions> = {},
  ): Promise<ScriptedProducer> {
    const scripted = new ScriptedProducer(settings, options);
    scripted.port.setTopic('t', leaders);
    scripted.try('probe');
    await settled();
    return scripted;
  }

  /** Appends a record; the key decides the partition, without one the first is taken as long as there is one. */
  try(value: string, topic = 't', key: string | null = null): Refusal | undefined {
    const token = this.#values.push(value) - 1;
    return this.producer.tryAppend(
      {
        topic,
        key: key === null ? null : Buffer.from(key),
        value: Buffer.from(value),
        timestampMs: this.clock.wallMs(),
        headers: NO_HEADERS,
      },
      this,
      token,
    );
  }

  /** Appends records that must be taken, then lets the linger pass, so that they leave in one batch a partition. */
  async send(...values: string[]): Promise<void> {
    for (const value of values) {
      const refusal = this.try(value);
      if (refusal !== undefined) throw new Error(`${value} was refused`);
    }
    await this.pass(10);
  }

  /** Lets time pass, and everything that is due happen. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await settled();
  }

  recordCompleted(token: number, result: BatchResult): void {
    const value = this.#values[token]!;
    this.results.push(result.error === undefined ? value : `${value}:${result.error.code}`);
  }
}
