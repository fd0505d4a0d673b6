import { findFreePorts } from '../../src/testbed/local-kafka/ports.ts';
import { startKafka } from '../../test/support/kafka.ts';
import type { TestKafka } from '../../test/support/kafka.ts';
import { SlowLink } from './slow-link.ts';
import type { Link } from './workloads.ts';

/** The benchmark's real Kafka, which can be reached directly and over a slow link. */
export class BenchKafka {
  readonly kafka: TestKafka;
  readonly #linkPort: number;
  readonly #proxyPort: number;

  static async start(): Promise<BenchKafka> {
    const [linkPort, proxyPort] = (await findFreePorts(2)) as [number, number];
    const kafka = await startKafka({
      // A client learns from Kafka where its brokers are: who comes over the link must be sent back to it.
      properties: (node) => ({
        listeners: [
          `PLAINTEXT://127.0.0.1:${node.port}`,
          `CONTROLLER://127.0.0.1:${node.controllerPort}`,
          `LINK://127.0.0.1:${linkPort}`,
        ].join(','),
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.port},LINK://127.0.0.1:${proxyPort}`,
        'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LINK:PLAINTEXT',
      }),
    });
    return new BenchKafka(kafka, linkPort, proxyPort);
  }

  private constructor(kafka: TestKafka, linkPort: number, proxyPort: number) {
    this.kafka = kafka;
    this.#linkPort = linkPort;
    this.#proxyPort = proxyPort;
  }

  /** Runs `use` with the brokers' address, over the link if there is one. */
  async reachedBy<T>(link: Link | undefined, use: (bootstrapServers: string) => Promise<T>): Promise<T> {
    if (link === undefined) return use(this.kafka.bootstrapServers);
    const slow = await SlowLink.open(this.#proxyPort, this.#linkPort, link);
    try {
      return await use(`127.0.0.1:${this.#proxyPort}`);
    } finally {
      await slow.close();
    }
  }

  async stop(): Promise<void> {
    await this.kafka.stop();
  }
}
