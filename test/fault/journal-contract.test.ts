import { cpSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import mqtt from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';

import { findFreePorts } from '../../src/kafka/local/ports.ts';
import { PERFECT } from '../support/delivery-verdict.ts';
import { judgeAndReport } from '../support/fault-row.ts';
import { startFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { sensorWith } from '../support/journal-gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const projectRoot = resolve(import.meta.dirname, '../..');
const large = process.env.SLUICE_FAULT_RECORDS !== undefined;
const KILLS = large ? 20 : 2;

let kafka: TestKafka | undefined;
let folder: string | undefined;
const gateways: TestGateway[] = [];

afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.stop();
  await kafka?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  kafka = folder = undefined;
});

async function gatewayFolder(config: string): Promise<string> {
  folder = await mkdtemp(join(tmpdir(), 'sluice-journal-'));
  for (const name of ['devices', 'proto']) {
    cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
  }
  await writeFile(join(folder, 'sluice.yaml'), config);
  return folder;
}

async function start(...options: Parameters<typeof TestGateway.start>): Promise<TestGateway> {
  const gateway = await TestGateway.start(...options);
  gateways.push(gateway);
  return gateway;
}

async function untilDrained(gateway: TestGateway): Promise<void> {
  await until(async () => (await gateway.metric('sluice_deliveries_open_in_journal')) === 0, {
    timeoutMs: 60_000,
    what: 'an empty journal',
  });
}

describe('contract journal', () => {
  it('accepts with no broker in reach from the start, over a restart, and delivers in order when Kafka comes', async () => {
    kafka = await startKafka();
    await kafka.shutdown();
    const options = {
      folder: await gatewayFolder('kafka: { topics: { partitions: 4 } }\n'),
      bootstrapServers: kafka.bootstrapServers,
      files: sensorWith('journal'),
    };
    const first = await start(options);
    const { fleet, ledger } = startFleet(first, { devices: 20, rate: 2_000, qos: 1, count: 3_000 });
    expect(await fleet.done()).toMatchObject({ sent: 3_000, acknowledged: 3_000 });
    expect(await first.metric('sluice_deliveries_open_in_journal')).toBe(3_000);
    expect(await first.stop()).toBe(0);

    const second = await start(options);
    expect(await second.metric('sluice_journal_open_records')).toBe(3_000);
    await kafka.restart();
    await untilDrained(second);
    expect(
      judgeAndReport(ledger.accounts(), await readTelemetry(kafka.bootstrapServers, 'telemetry')),
    ).toEqual(PERFECT);
    expect(await second.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
  });

  it('loses nothing and turns nothing around while Kafka goes away and comes back under load', async () => {
    kafka = await startKafka();
    const gateway = await start({
      folder: await gatewayFolder('kafka: { topics: { partitions: 4 } }\n'),
      bootstrapServers: kafka.bootstrapServers,
      files: sensorWith('journal'),
    });
    await gateway.untilReady();
    const count = 12_000;
    const { fleet, ledger } = startFleet(gateway, { devices: 40, rate: 2_000, qos: 1, count });
    await until(() => fleet.snapshot().acknowledged > count / 6, { what: 'acknowledged messages' });
    await kafka.kill9();
    const before = fleet.snapshot().acknowledged;
    await until(() => fleet.snapshot().acknowledged > before + count / 3, {
      what: 'acknowledgements without Kafka',
    });
    await kafka.restart();
    expect(await fleet.done()).toMatchObject({ sent: count, acknowledged: count, lostConnections: 0 });
    await untilDrained(gateway);
    expect(
      judgeAndReport(ledger.accounts(), await readTelemetry(kafka.bootstrapServers, 'telemetry')),
    ).toEqual(PERFECT);
  });

  it(
    `survives kill -9 under load, ${KILLS} times: nothing acknowledged is lost, nothing is out of order`,
    async () => {
      kafka = await startKafka();
      const [mqttPort] = await findFreePorts(1);
      const options = {
        folder: await gatewayFolder('kafka: { topics: { partitions: 4 } }\n'),
        bootstrapServers: kafka.bootstrapServers,
        files: sensorWith('journal'),
        environment: { SLUICE_MQTT__LISTENERS__0__PORT: String(mqttPort) },
      };
      let gateway = await start(options);
      await gateway.untilReady();
      const count = 4_000 * (KILLS + 1);
      const { fleet, ledger } = startFleet(gateway, { devices: 20, rate: 1_000, qos: 1, count });
      for (let kill = 1; kill <= KILLS; kill++) {
        await until(() => fleet.snapshot().acknowledged > (count * kill) / (KILLS + 1), {
          timeoutMs: 60_000,
          what: 'acknowledged messages',
        });
        await gateway.kill9();
        gateway = await start(options);
      }
      expect(await fleet.done()).toMatchObject({ sent: count, unacknowledged: 0 });
      await untilDrained(gateway);
      const { repeated, ...verdict } = judgeAndReport(
        ledger.accounts(),
        await readTelemetry(kafka.bootstrapServers, 'telemetry'),
      );
      expect(verdict).toEqual({ ...PERFECT, repeated: undefined });
      // What Kafka had not acknowledged at the kill, and a checkpoint interval of what it had.
      expect(repeated.length).toBeLessThan(KILLS * 2_500);
    },
    60_000 + KILLS * 30_000,
  );

  it('a second gateway on the same journal is refused, and told who has it', async () => {
    kafka = await startKafka();
    const options = {
      folder: await gatewayFolder('{}'),
      bootstrapServers: kafka.bootstrapServers,
      files: sensorWith('journal'),
    };
    const first = await start(options);
    const second = await start({ ...options, awaitBanner: false });
    expect(await second.exit()).toBe(1);
    expect(second.output).toContain(`is in use by process ${first.pid}`);
    const client = await mqtt.connectAsync(first.mqttUrl);
    await client.publishAsync('fleet/oslo/d1/telemetry', Buffer.from([0x10, 1]), { qos: 1 });
    await client.endAsync();
  });
});
