import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { faultRecords } from '../support/fault-records.ts';
import { runGatewayTrial, type GatewayTrial } from '../support/gateway-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { faultSeeds } from '../support/seeds.ts';
import { readTopic } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';
import { WallClock } from '../support/wall-clock.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let kafka: TestKafka;

beforeAll(async () => {
  kafka = await startKafka();
});

afterAll(async () => {
  await kafka.stop();
});

/** Devices without a clock: the record's time is the gateway's. */
const timeless = (topic: string): string => `
type: timeless
topic: timeless/{device}
decode: raw
device: '{device}'
produce: { topic: ${topic}-timeless }
ack: journal
`;

async function publishTimeless({ gateway }: GatewayTrial): Promise<void> {
  const client = await mqtt.connectAsync(gateway.mqttUrl);
  await client.publishAsync('timeless/d1', 'of an unknown time', { qos: 1 });
  await client.endAsync();
}

describe('a gateway whose wall clock is set while devices publish, each contract', () => {
  it.each(faultSeeds())(
    'loses, repeats and turns around nothing, no device is dropped, no record is dated 1970, seed %i',
    async (seed) => {
      const startMs = Date.now();
      const topic = `clock-${seed}`;
      let clock: WallClock | undefined;
      const options = {
        topic,
        seed,
        launch: (folder: string) => {
          const { environment } = (clock ??= new WallClock(folder));
          return { environment };
        },
        files: { 'trial/timeless.yaml': timeless(topic) },
        // What else goes by time: segments that age, sessions that expire, an audit log.
        config: 'audit: { directory: audit }\nmqtt: { sessions: { expiry.ms: 60000 } }\n',
      };
      const records = await runGatewayTrial(kafka, options, async (trial) => {
        do {
          // The last of them: 1970.
          for (const jumpMs of trial.random.shuffled([3 * HOUR_MS, -3 * HOUR_MS, -Date.now()])) {
            clock?.setOffset(jumpMs + trial.random.between(0, 1_000));
            await trial.untilSettled('what was on its way when the clock jumped');
            await trial.untilAcknowledged(trial.random.between(100, 300));
          }
        } while (trial.devices.sent < faultRecords(0));

        // More than an hour ahead Kafka refuses our time (KIP-1030).
        clock?.setOffset(3 * HOUR_MS);
        await publishTimeless(trial);
        await until(async () => (await trial.gateway.metric('sluice_deliveries_dead_lettered_total')) === 1, {
          timeoutMs: 60_000,
          what: 'a dead letter',
        });
        clock?.setOffset(0);
        expect(Math.max(...trial.devices.lostConnections)).toBe(0);
      });
      expect(records.filter(({ timestampMs }) => Math.abs(timestampMs - startMs) > DAY_MS)).toEqual([]);
      expect(await readTopic(kafka.bootstrapServers, `${topic}-timeless.dlq`)).toMatchObject([
        { timestampMs: -1, value: Buffer.from('of an unknown time') },
      ]);
    },
  );
});
