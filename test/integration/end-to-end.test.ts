import kafkajs from 'kafkajs';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { QoS } from '../../src/core/publication.ts';
import { judge, PERFECT } from '../support/delivery-verdict.ts';
import { startFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTelemetry, readTopic, type ConsumedTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';
import type { WatchedLedger } from '../support/watched-ledger.ts';

const PARTITIONS = 2;

let kafka: TestKafka;
let gateway: TestGateway;

beforeAll(async () => {
  kafka = await startKafka();
  gateway = await TestGateway.start({
    bootstrapServers: kafka.bootstrapServers,
    config: `kafka: { topics: { partitions: ${PARTITIONS} } }\n`,
  });
  await gateway.untilReady();
});

afterAll(async () => {
  await gateway.stop();
  await kafka.stop();
});

interface FleetRun {
  readonly qos: QoS;
  readonly prefix: string;
  readonly devices: number;
  readonly count: number;
  readonly rate: number;
}

async function runFleet(run: FleetRun): Promise<WatchedLedger> {
  const { fleet, ledger } = startFleet(gateway, run);
  const summary = await fleet.done();
  expect(summary).toMatchObject({ sent: run.count, unacknowledged: 0, unsent: 0, lostConnections: 0 });
  return ledger;
}

function ofPrefix(records: readonly ConsumedTelemetry[], prefix: string): ConsumedTelemetry[] {
  return records.filter(({ deviceId }) => deviceId.startsWith(prefix));
}

/** The partition that kafkajs' default partitioner, an independent murmur2, chooses for a key. */
function partitionOf(key: string): number {
  const partitioner = kafkajs.Partitioners.DefaultPartitioner();
  const partitionMetadata = Array.from({ length: PARTITIONS }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 1,
    replicas: [1],
    isr: [1],
  }));
  return partitioner({ topic: 'telemetry', partitionMetadata, message: { key, value: null } });
}

async function subscriber(filter: string): Promise<{ client: MqttClient; received: () => number }> {
  const client = await mqtt.connectAsync(gateway.mqttUrl);
  let received = 0;
  client.on('message', () => received++);
  await client.subscribeAsync(filter, { qos: 1 });
  return { client, received: () => received };
}

describe('a fleet of 100 devices in front of a real Kafka', () => {
  it('QoS 1: Kafka holds every acknowledged message once, in order, keyed by device, lz4, in large batches', async () => {
    const local = await subscriber('fleet/+/q1-env-sensor-0001/#');
    // 1,000 messages a second for each of the two partitions.
    const ledger = await runFleet({
      qos: 1,
      prefix: 'q1-',
      devices: 100,
      count: 10_000,
      rate: 1_000 * PARTITIONS,
    });
    const records = ofPrefix(await readTelemetry(kafka.bootstrapServers, 'telemetry'), 'q1-');
    expect(judge(ledger.accounts(), records)).toEqual(PERFECT);
    expect(records).toHaveLength(10_000);

    for (const { key, deviceId, partition, headers } of records) {
      expect(key).toBe(deviceId);
      expect(partition).toBe(partitionOf(deviceId));
      expect(headers['mqtt.topic']).toContain(deviceId);
    }
    const [account] = [...ledger.accounts()].find(([device]) => device === 'q1-env-sensor-0001') ?? [];
    expect(account).toBeDefined();
    await until(() => local.received() === 100, { what: "a local subscriber's 100 messages" });
    await local.client.endAsync();

    const batches = [
      ...(await kafka.tools.batches('telemetry', 0)),
      ...(await kafka.tools.batches('telemetry', 1)),
    ];
    expect(new Set(batches.map(({ compressCodec }) => compressCodec))).toEqual(new Set(['lz4']));
    expect(batches.every(({ producerId, isValid }) => producerId >= 0 && isValid)).toBe(true);
    const total = batches.reduce((sum, { count }) => sum + count, 0);
    expect(total / batches.length).toBeGreaterThanOrEqual(20);
  });

  it('QoS 0: Kafka holds everything that was published on connections that ended with DISCONNECT', async () => {
    const local = await subscriber('fleet/+/+/telemetry');
    const ledger = await runFleet({ qos: 0, prefix: 'q0-', devices: 100, count: 10_000, rate: 4_000 });
    await until(async () => (await gateway.metric('sluice_deliveries_produced_total')) >= 20_000, {
      what: 'QoS 0 messages in Kafka',
    });
    const records = ofPrefix(await readTelemetry(kafka.bootstrapServers, 'telemetry'), 'q0-');
    expect(judge(ledger.accounts(), records)).toEqual(PERFECT);
    expect(records).toHaveLength(10_000);
    await until(() => local.received() === 10_000, { what: 'the local subscriber' });
    await local.client.endAsync();
  });

  it('QoS 2: Kafka holds every acknowledged message once', async () => {
    const ledger = await runFleet({ qos: 2, prefix: 'q2-', devices: 20, count: 1_000, rate: 1_000 });
    const records = ofPrefix(await readTelemetry(kafka.bootstrapServers, 'telemetry'), 'q2-');
    expect(judge(ledger.accounts(), records)).toEqual(PERFECT);
    expect(records).toHaveLength(1_000);
  });
});

describe('what is not telemetry', () => {
  it('bytes that do not decode are kept as they came, with the reason, and acknowledged', async () => {
    const client = await mqtt.connectAsync(gateway.mqttUrl, { clientId: 'broken-device' });
    const payload = Buffer.from([0x08, 0xff, 0xff, 0x00, 0x99]);
    await client.publishAsync('fleet/oslo/broken/telemetry', payload, { qos: 1 });
    await client.endAsync();

    const letter = (await readTopic(kafka.bootstrapServers, 'telemetry.dlq')).find(
      ({ headers }) => headers['mqtt.topic'] === 'fleet/oslo/broken/telemetry',
    );
    expect(letter?.value).toEqual(payload);
    expect(letter?.headers).toMatchObject({
      'device.type': 'env-sensor',
      'mqtt.client.id': 'broken-device',
      'error.code': expect.stringMatching(/^[A-Z_]+$/) as string,
      'error.message': expect.stringMatching(/\w/) as string,
    });
  });

  it('a topic without a profile reaches local subscribers, is acknowledged, and is counted by name', async () => {
    const local = await subscriber('somewhere/else');
    const client = await mqtt.connectAsync(gateway.mqttUrl);
    await client.publishAsync('somewhere/else', 'hello', { qos: 1 });
    await until(() => local.received() === 1, { what: 'the local subscriber' });
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(metrics).toContain('sluice_unrouted_publications_total{topic="somewhere/else"} 1');
    await client.endAsync();
    await local.client.endAsync();
  });
});

describe('stopping', () => {
  it('SIGTERM under load exits with 0, and everything acknowledged is in Kafka', async () => {
    const stopping = await TestGateway.start({ bootstrapServers: kafka.bootstrapServers });
    const { fleet, ledger } = startFleet(stopping, {
      devices: 20,
      rate: 2_000,
      qos: 1,
      prefix: 'stop-',
      drainTimeoutMs: 0,
    });
    await until(() => fleet.snapshot().acknowledged > 1_000, { what: 'acknowledged messages' });
    expect(await stopping.stop()).toBe(0);
    await fleet.stop();
    const records = ofPrefix(await readTelemetry(kafka.bootstrapServers, 'telemetry'), 'stop-');
    const { lost, invented, repeated, disordered } = judge(ledger.accounts(), records);
    expect({ lost, invented, repeated, disordered }).toEqual({
      lost: [],
      invented: [],
      repeated: [],
      disordered: [],
    });
  });
});
