import mqtt from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';

import { PERFECT } from '../support/delivery-verdict.ts';
import { judgeAndReport } from '../support/fault-row.ts';
import { startFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

let kafka: TestKafka | undefined;
let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  await kafka?.stop();
  gateway = kafka = undefined;
});

async function startBoth(): Promise<{ kafka: TestKafka; gateway: TestGateway }> {
  kafka = await startKafka();
  gateway = await TestGateway.start({ bootstrapServers: kafka.bootstrapServers });
  await gateway.untilReady();
  return { kafka, gateway };
}

describe('Kafka killed with kill -9 under a running fleet', () => {
  it('the fleet finishes without an error, and Kafka holds what was acknowledged, once and in order', async () => {
    const { kafka, gateway } = await startBoth();
    const count = 20_000;
    const { fleet, ledger } = startFleet(gateway, { devices: 50, rate: 2_000, qos: 1, count });
    for (const share of [0.2, 0.5]) {
      await until(() => fleet.snapshot().acknowledged > share * count, { what: 'acknowledged messages' });
      await kafka.kill9();
      const before = fleet.snapshot().acknowledged;
      await until(() => fleet.snapshot().inFlight > 0 && fleet.snapshot().acknowledged >= before);
      await kafka.restart();
    }
    const summary = await fleet.done();
    expect(summary).toMatchObject({
      sent: count,
      acknowledged: count,
      unacknowledged: 0,
      lostConnections: 0,
    });
    expect(
      judgeAndReport(ledger.accounts(), await readTelemetry(kafka.bootstrapServers, 'telemetry')),
    ).toEqual(PERFECT);
  });
});

describe('while Kafka is away', () => {
  it('nothing is acknowledged, a device with 20 in flight stays connected and its pings are answered', async () => {
    const { kafka, gateway } = await startBoth();
    const client = await mqtt.connectAsync(gateway.mqttUrl, {
      clientId: 'patient',
      keepalive: 2,
      reconnectPeriod: 0,
    });
    let pongs = 0;
    client.on('packetreceive', ({ cmd }) => {
      if (cmd === 'pingresp') pongs++;
    });
    let closed = 0;
    client.on('close', () => closed++);
    await client.publishAsync('somewhere/else', 'kafka is not asked for this', { qos: 1 });

    await kafka.shutdown();
    let acknowledged = 0;
    const publications = Array.from({ length: 20 }, async (_, index) => {
      await client.publishAsync('fleet/oslo/patient/telemetry', Buffer.from([0x10, index + 1]), { qos: 1 });
      acknowledged++;
    });
    // Longer than one and a half keepalives, several times.
    await until(() => pongs >= 6, { timeoutMs: 30_000, what: 'six PINGRESPs' });
    expect({ acknowledged, closed }).toEqual({ acknowledged: 0, closed: 0 });
    const { ready, conditions } = await gateway.readiness();
    expect(ready).toBe(false);
    expect(conditions.find(({ name }) => name === 'kafka')?.reason).toContain(String(kafka.port));

    await kafka.restart();
    await Promise.all(publications);
    expect({ acknowledged, closed }).toEqual({ acknowledged: 20, closed: 0 });
    await client.endAsync();
    const records = await readTelemetry(kafka.bootstrapServers, 'telemetry');
    expect(records.map(({ deviceId }) => deviceId)).toEqual(Array.from({ length: 20 }, () => 'patient'));
  });

  it('floods past the hard bound are held back, and nothing that was acknowledged is lost', async () => {
    const { kafka, gateway } = await startBoth();
    const { fleet, ledger } = startFleet(gateway, {
      devices: 10,
      rate: 0,
      qos: 1,
      count: 30_000,
      window: 2_000,
    });
    await until(() => fleet.snapshot().acknowledged > 5_000, { what: 'acknowledged messages' });
    await kafka.kill9();
    await until(async () => (await gateway.metric('sluice_mqtt_paused_connections')) > 0, {
      what: 'a connection that is not read',
    });
    const parked = await gateway.metric('sluice_mqtt_parked_bytes');
    expect(parked).toBeLessThan(10 * 2 * 64 * 1024 + 10 * 256 * 1024);
    await kafka.restart();
    const summary = await fleet.done();
    expect(summary).toMatchObject({ sent: 30_000, unacknowledged: 0 });
    const { lost, invented, disordered } = judgeAndReport(
      ledger.accounts(),
      await readTelemetry(kafka.bootstrapServers, 'telemetry'),
    );
    expect({ lost, invented, disordered }).toEqual({ lost: [], invented: [], disordered: [] });
  });

  it('a gateway that starts says so, waits, and delivers when Kafka comes; idle, it notices each time', async () => {
    kafka = await startKafka();
    await kafka.shutdown();
    gateway = await TestGateway.start({ bootstrapServers: kafka.bootstrapServers });
    expect((await gateway.readiness()).ready).toBe(false);
    const client = await mqtt.connectAsync(gateway.mqttUrl);
    const publication = client.publishAsync('fleet/oslo/early/telemetry', Buffer.from([0x10, 1]), { qos: 1 });
    await kafka.restart();
    await publication;
    await gateway.untilReady();
    await client.endAsync();
    expect(await readTelemetry(kafka.bootstrapServers, 'telemetry')).toHaveLength(1);

    await kafka.kill9();
    const isReady = async (): Promise<boolean> => (await gateway!.readiness()).ready;
    await until(async () => !(await isReady()), { what: 'the gateway to notice' });
    await kafka.restart();
    await gateway.untilReady();
  });
});
