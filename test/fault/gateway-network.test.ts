import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { faultRecords } from '../support/fault-records.ts';
import { runGatewayTrial, type GatewayTrial } from '../support/gateway-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import type { WireFaults } from '../support/proxy.ts';
import { faultSeeds, type SeededRandom } from '../support/seeds.ts';
import { until } from '../support/until.ts';

const isLarge = process.env.FAULT_RECORDS !== undefined;

let kafka: TestKafka;

beforeAll(async () => {
  kafka = await startKafka();
});

afterAll(async () => {
  await kafka.stop();
});

/** Spoils single frames while it is told to. */
class FrameFaults implements WireFaults {
  losesResponse?: () => boolean;
  cutsAfter?: (frameBytes: number) => number | undefined;
  /** So many frames have been spoilt. */
  count = 0;

  loseResponses(random: SeededRandom): void {
    this.losesResponse = () => random.between(1, 4) === 1 && ++this.count > 0;
  }

  cutFrames(random: SeededRandom): void {
    this.cutsAfter = (frameBytes) =>
      random.between(1, 10) === 1 && ++this.count > 0 ? random.between(0, frameBytes) : undefined;
  }

  stop(): void {
    delete this.losesResponse;
    delete this.cutsAfter;
  }
}

interface KafkaFault {
  readonly name: string;
  readonly happen: (trial: GatewayTrial, frames: FrameFaults) => Promise<void>;
}

async function untilSpoilt(frames: FrameFaults, more: number): Promise<void> {
  const before = frames.count;
  await until(() => frames.count >= before + more, { timeoutMs: 120_000, what: 'frames to be spoilt' });
  frames.stop();
}

/** The gateway says that it can't reach Kafka: its own patience has found out. */
async function untilNoticed({ gateway }: GatewayTrial): Promise<void> {
  await until(
    async () => {
      const { conditions } = await gateway.readiness();
      return conditions.some(({ name, ready }) => name === 'kafka' && !ready);
    },
    { timeoutMs: 60_000, what: 'the gateway to notice that Kafka does not answer' },
  );
}

const KAFKA_FAULTS: readonly KafkaFault[] = [
  {
    name: 'Kafka takes batches, and the answers get lost',
    async happen({ random }, frames) {
      frames.loseResponses(random);
      await untilSpoilt(frames, isLarge ? 20 : 2);
    },
  },
  {
    name: 'connections are reset in the middle of requests and answers',
    async happen({ random }, frames) {
      frames.cutFrames(random);
      await untilSpoilt(frames, isLarge ? 40 : 4);
    },
  },
  {
    name: 'the network swallows everything',
    async happen(trial) {
      trial.kafkaWire.setState({ kind: 'silent' });
      await untilNoticed(trial);
    },
  },
  {
    name: 'connections are half-open, and new ones work',
    async happen(trial) {
      trial.kafkaWire.silenceAll();
      await trial.untilSettled('what was on its way on half-open connections');
    },
  },
  {
    name: 'Kafka is frozen, and answers much later than anybody waits',
    async happen(trial) {
      trial.kafkaWire.setState({ kind: 'held' });
      await untilNoticed(trial);
    },
  },
  {
    name: 'Kafka is slow',
    async happen(trial) {
      trial.kafkaWire.setState({
        kind: 'slow',
        delayMs: trial.random.between(50, 300),
        bytesPerSecond: 65_536,
      });
      await trial.untilAcknowledged(isLarge ? 10_000 : 300);
    },
  },
];

/** Connections that the gateway has ended because it heard nothing for too long. */
const KEEPALIVE_ENDS = 'sluice_mqtt_connections_closed_total{reason="keepalive-timeout"}';

const DEVICE_FAULTS: readonly ((trial: GatewayTrial) => Promise<void>)[] = [
  async function blackhole(trial) {
    const before = await trial.gateway.metric(KEEPALIVE_ENDS);
    trial.spoilDevices((wire) => {
      wire.setState({ kind: 'silent' });
    });
    await until(() => trial.fleet.snapshot().connected === 0, {
      timeoutMs: 60_000,
      what: 'devices to give their connections up',
    });
    await until(async () => (await trial.gateway.metric(KEEPALIVE_ENDS)) > before, {
      timeoutMs: 60_000,
      what: 'the gateway to notice that devices are silent',
    });
    trial.spoilDevices((wire) => {
      wire.setState({ kind: 'open' });
    });
  },
  async function halfOpen(trial) {
    trial.spoilDevices((wire) => {
      wire.silenceAll();
    });
    await trial.untilSettled('what was on its way on half-open connections');
  },
  async function resets(trial) {
    trial.spoilDevices((wire) => {
      wire.resetAll();
    });
    await trial.untilSettled('what was on its way on connections that were reset');
  },
];

describe('a gateway whose network fails, each contract', () => {
  it.each(faultSeeds())(
    'towards Kafka: loses, repeats and turns around nothing, and devices stay connected, seed %i',
    async (seed) => {
      const frames = new FrameFaults();
      const options = { topic: `network-kafka-${seed}`, seed, wireFaults: frames };
      await runGatewayTrial(kafka, options, async (trial) => {
        do {
          for (const { happen } of trial.random.shuffled(KAFKA_FAULTS)) {
            await happen(trial, frames);
            trial.kafkaWire.setState({ kind: 'open' });
            await trial.untilAcknowledged(100);
          }
        } while (trial.devices.sent < faultRecords(0));
        expect(Math.max(...trial.devices.lostConnections)).toBe(0);
      });
    },
  );

  it.each(faultSeeds())(
    'towards devices: loses and turns around nothing, and repeats only what devices sent again, seed %i',
    async (seed) => {
      const options = { topic: `network-devices-${seed}`, seed, keepaliveSeconds: 1 };
      await runGatewayTrial(kafka, options, async (trial) => {
        do {
          for (const happen of trial.random.shuffled(DEVICE_FAULTS)) {
            await trial.untilAcknowledged(trial.random.between(50, 300));
            await happen(trial);
          }
        } while (trial.devices.sent < faultRecords(0));
      });
    },
  );
});
