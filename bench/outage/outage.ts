import { setTimeout as delay } from 'node:timers/promises';
import type { SimulatedType } from '../../src/testbed/fleet/device.ts';
import type { BenchKafka } from '../harness/bench-kafka.ts';
import type { RunningBridge } from '../harness/contestants.ts';
import type { BenchTopic } from '../harness/kafka-topic.ts';
import { Load, type PhaseResult } from '../load/load.ts';
import { readFigures, type GatewayFigures } from './gateway-figures.ts';
import { LiveTraffic, type LiveTimes } from './live-traffic.ts';
import type { OutageReport } from './outage-report.ts';

/** What can be chosen of an outage. */
export interface OutageChoices {
  /** Messages that the journal takes while Kafka is away. */
  readonly backlog: number;
  /** Live messages a second, and their devices, of each contract. */
  readonly rate: number;
  readonly devices: number;
  /** Most messages in flight of each device that fills the journal. */
  readonly window: number;
  /** Length of the measurements before and after. */
  readonly seconds: number;
}

export interface OutageOptions extends OutageChoices {
  readonly kafka: BenchKafka;
  readonly topic: BenchTopic;
  readonly bridge: RunningBridge;
  /** A device type of each of the live contracts, in their order; the first one fills the journal. */
  readonly types: readonly SimulatedType[];
  readonly say: (text: string) => void;
}

const SATURATING_DEVICES = 100;
const WARM_UP_MESSAGES = 100_000;
const SAMPLE_EVERY_MS = 1_000;
/** Kafka has just been started again, or the gateway has: not yet what is normal. */
const SETTLE_SECONDS = 5;

/** One outage of Kafka from live traffic before it to live traffic after it. */
export class Outage {
  readonly #options: OutageOptions;
  readonly #samples: GatewayFigures[] = [];

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  async run(): Promise<OutageReport> {
    const { bridge, types, devices, rate, kafka, topic, say } = this.#options;
    const live = { port: bridge.port, types, devices, rate };
    const sampling = new AbortController();
    const sampled = this.#sample(sampling.signal);
    try {
      let traffic = await LiveTraffic.connect(live);
      say('live traffic, Kafka there');
      await traffic.run(after(SETTLE_SECONDS));
      const before = await traffic.run(after(this.#options.seconds));
      await traffic.end();

      say('Kafka goes away; devices fill the journal');
      await kafka.kafka.shutdown();
      const filled = await this.#fill();

      say('Kafka comes back; the backlog drains beside live traffic');
      await kafka.kafka.restart();
      traffic = await LiveTraffic.connect(live);
      const drained = await this.#drain(traffic);

      say('live traffic, backlog gone');
      await traffic.run(after(SETTLE_SECONDS));
      const afterwards = await traffic.run(after(this.#options.seconds));
      await traffic.end();
      const { journaled } = await this.#figures();
      await topic.filled(journaled);
      return {
        ...filled,
        ...drained,
        before,
        after: afterwards,
        samples: this.#samples,
        inKafka: await topic.records(),
        journaled,
      };
    } finally {
      sampling.abort();
      await sampled;
    }
  }

  /** Devices with full windows, until the backlog is there. */
  async #fill(): Promise<Pick<OutageReport, 'fillBegin' | 'fillEnd' | 'filling'>> {
    const [type] = this.#options.types;
    if (type === undefined) throw new Error('there is no device type to play');
    const load = new Load({
      host: '127.0.0.1',
      port: this.#options.bridge.port,
      devices: SATURATING_DEVICES,
      qos: 1,
      window: this.#options.window,
      rate: 0,
      types: [type],
    });
    await load.connect();
    await load.run({ messages: Math.min(WARM_UP_MESSAGES, this.#options.backlog) });
    const fillBegin = await this.#figures();
    const filling: PhaseResult = await load.run({ messages: this.#options.backlog });
    const fillEnd = await this.#figures();
    await load.end();
    return { fillBegin, fillEnd, filling };
  }

  /** Live traffic until nothing of the backlog is left: less than what devices send in a second. */
  async #drain(
    traffic: LiveTraffic,
  ): Promise<Pick<OutageReport, 'drainBegin' | 'drainEnd' | 'during' | 'backlog'>> {
    const drainBegin = await this.#figures();
    const backlog = drainBegin.open;
    let drainEnd: GatewayFigures | undefined;
    let isDrained = false;
    const watching = (async () => {
      for (;;) {
        drainEnd = await this.#figures();
        if (drainEnd.open <= this.#options.rate) return drainEnd;
        await delay(SAMPLE_EVERY_MS / 5);
      }
    })().finally(() => {
      isDrained = true;
    });
    // What waited for the gateway to find Kafka again waited for the outage to end, not for the backlog.
    await traffic.run(() => true);
    const during: LiveTimes = await traffic.run(() => isDrained);
    return { drainBegin, drainEnd: await watching, during, backlog };
  }

  async #sample(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#samples.push(await this.#figures());
      await delay(SAMPLE_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #figures(): Promise<GatewayFigures> {
    const { metricsUrl, pids } = this.#options.bridge;
    const [pid] = pids;
    if (metricsUrl === undefined || pid === undefined)
      throw new Error('the gateway does not tell its figures');
    return readFigures(metricsUrl, pid);
  }
}

function after(seconds: number): () => boolean {
  const endMs = performance.now() + seconds * 1_000;
  return () => performance.now() >= endMs;
}
