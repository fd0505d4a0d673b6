import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { findFreePorts } from '../../src/testbed/local-kafka/ports.ts';
import { judgeAndReport } from '../support/fault-row.ts';
import { startFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const projectRoot = resolve(import.meta.dirname, '../..');

let folder: string | undefined;
const gateways: TestGateway[] = [];

afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function startWithLocalKafka(folder: string): Promise<TestGateway> {
  const gateway = await TestGateway.start({ folder });
  gateways.push(gateway);
  return gateway;
}

describe('a gateway with a local Kafka, killed with kill -9', () => {
  it('starts again at once on the same port and data, and nothing acknowledged is lost', async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-crash-'));
    const [mqttPort, kafkaPort] = await findFreePorts(2);
    for (const name of ['devices', 'proto']) {
      cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
    }
    await writeFile(
      join(folder, 'sluice.yaml'),
      `kafka: { local: { port: ${kafkaPort} }, topics: { partitions: 2 } }\n`,
    );
    const fixedPort = { SLUICE_MQTT__LISTENERS__0__PORT: String(mqttPort) };

    const first = await TestGateway.start({ folder, environment: fixedPort });
    gateways.push(first);
    await first.untilReady();
    const { fleet, ledger } = startFleet(first, { devices: 20, rate: 1_000, qos: 1, count: 10_000 });
    await until(() => fleet.snapshot().acknowledged > 2_000, { what: 'acknowledged messages' });
    await first.kill9();

    const second = await TestGateway.start({ folder, environment: fixedPort });
    gateways.push(second);
    const summary = await fleet.done();
    expect(summary).toMatchObject({ sent: 10_000, unacknowledged: 0 });
    await second.untilReady();

    const records = await readTelemetry(`127.0.0.1:${kafkaPort}`, 'telemetry');
    const { lost, invented, disordered, scattered } = judgeAndReport(ledger.accounts(), records);
    expect({ lost, invented, disordered, scattered }).toEqual({
      lost: [],
      invented: [],
      disordered: [],
      scattered: [],
    });
    expect(await second.stop()).toBe(0);
  });

  it('keeps what Kafka holds over a clean stop and a new start', async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-restart-'));
    const [kafkaPort] = await findFreePorts(1);
    for (const name of ['devices', 'proto']) {
      cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
    }
    await writeFile(join(folder, 'sluice.yaml'), `kafka: { local: { port: ${kafkaPort} } }\n`);
    const first = await startWithLocalKafka(folder);
    await startFleet(first, { devices: 5, rate: 500, qos: 1, count: 100 }).fleet.done();
    expect(await first.stop()).toBe(0);
    await startWithLocalKafka(folder);
    expect(await readTelemetry(`127.0.0.1:${kafkaPort}`, 'telemetry')).toHaveLength(100);
  });
});
