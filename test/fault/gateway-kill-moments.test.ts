import { watch } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { COMPACTING_SUFFIX } from '../../src/journal/disk/segment-file.ts';
import { runGatewayTrial, type GatewayTrial } from '../support/gateway-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { faultSeeds } from '../support/seeds.ts';
import { readTopic } from '../support/telemetry-topic.ts';
import { createTopicsOn } from '../support/topics.ts';
import { until } from '../support/until.ts';

/** Kills of each kind: one, and several with `npm run test:faults`. */
const ROUNDS = Math.ceil(Number(process.env.FAULT_KILLS ?? 4) / 4);

let kafka: TestKafka;

beforeAll(async () => {
  kafka = await startKafka();
});

afterAll(async () => {
  await kafka.stop();
});

/** A type whose Kafka topic takes nothing at present, so that its records stay in segments that are done otherwise. */
const stuck = (topic: string, version: number): string => `
type: stuck
topic: stuck/{device}
decode: raw
device: '{device}'
# version ${version}
produce: { topic: ${topic} }
ack: journal
`;

/** Acknowledged by the disk, and waiting for {@link release}. */
class StuckDevice {
  readonly #acknowledged: string[] = [];

  async publish({ gateway }: GatewayTrial, count: number): Promise<void> {
    const client = await mqtt.connectAsync(gateway.mqttUrl);
    for (let n = 0; n < count; n++) {
      const text = String(this.#acknowledged.length + 1);
      await client.publishAsync('stuck/d1', text, { qos: 1 });
      this.#acknowledged.push(text);
    }
    await client.endAsync();
  }

  /** Kafka takes its records from now on. */
  async release(topic: string): Promise<void> {
    await kafka.tools.run('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', kafka.bootstrapServers],
      ...['--alter', '--entity-type', 'topics', '--entity-name', topic],
      ...['--add-config', 'min.insync.replicas=1'],
    ]);
  }

  /** Each is there, and first occurrences are in order. */
  async judge(topic: string): Promise<void> {
    const records = await readTopic(kafka.bootstrapServers, topic);
    expect([...new Set(records.map(({ value }) => String(value)))]).toEqual(this.#acknowledged);
  }
}

/** Returns with the gateway dead. */
type Moment = (trial: GatewayTrial, topic: string) => Promise<void>;

async function starting(trial: GatewayTrial): Promise<void> {
  await trial.killGateway();
  for (let n = 0; n < 3; n++) await trial.startBriefly(trial.random.between(100, 2_000));
}

async function recovering(trial: GatewayTrial): Promise<void> {
  trial.takeKafkaAway();
  await trial.untilAcknowledged(trial.random.between(100, 3_000));
  await trial.killGateway();
  trial.bringKafkaBack();
  await trial.startGateway();
  // What is on the disk is being read back.
  await delay(trial.random.between(0, 300));
  await trial.killGateway();
}

/** A segment is written anew, of what is left in it. */
async function compacting(trial: GatewayTrial): Promise<void> {
  const begun = new Promise<void>((resolve) => {
    const watcher = watch(join(trial.folder, '.sluice/journal'), (_, name) => {
      if (name?.endsWith(COMPACTING_SUFFIX) !== true) return;
      watcher.close();
      resolve();
    });
  });
  await begun;
  await delay(trial.random.between(0, 5));
  await trial.killGateway();
}

async function reloading(trial: GatewayTrial, topic: string): Promise<void> {
  const version = trial.random.between(1, 1_000_000);
  await writeFile(join(trial.folder, 'trial/stuck.yaml'), stuck(topic, version));
  trial.gateway.signal('SIGHUP');
  await delay(trial.random.between(0, 100));
  await trial.killGateway();
}

const MOMENTS: readonly Moment[] = [starting, recovering, compacting, reloading];

describe('a gateway that is killed with kill -9 at delicate moments, each contract', () => {
  it.each(faultSeeds())(
    `${ROUNDS === 1 ? 'once' : `${ROUNDS} times`} each while it starts, recovers, compacts its journal and reloads profiles: nothing is lost or turned around, copies stay within the bound, seed %i`,
    async (seed) => {
      const stuckTopic = `stuck-${seed}`;
      const configEntries = [{ name: 'min.insync.replicas', value: '2' }];
      await createTopicsOn(kafka.bootstrapServers, [{ topic: stuckTopic, numPartitions: 1, configEntries }]);
      const device = new StuckDevice();
      const options = {
        topic: `moments-${seed}`,
        seed,
        rate: 1_500,
        files: { 'trial/stuck.yaml': stuck(stuckTopic, 0) },
        journal: 'segment.bytes: 65536, checkpoint.interval.ms: 20',
      };
      await runGatewayTrial(kafka, options, async (trial) => {
        const moments = Array.from({ length: ROUNDS }, () => MOMENTS).flat();
        for (const moment of trial.random.shuffled(moments)) {
          await device.publish(trial, 5);
          await trial.untilAcknowledged(trial.random.between(50, 2_000));
          await moment(trial, stuckTopic);
          await trial.startGateway();
        }
        await trial.untilSettled('what was on its way at the last kill');
        await device.release(stuckTopic);
        await until(async () => (await trial.gateway.metric('sluice_deliveries_open_in_journal')) < 100, {
          timeoutMs: 60_000,
          what: 'what was stuck to leave the journal',
        });
      });
      await device.judge(stuckTopic);
    },
    // Four restarts and twice as many waits, beside two other files.
    Math.max(300_000, ROUNDS * 180_000),
  );
});
