import mqtt from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TestGateway } from '../support/gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { FaultyWire } from '../support/proxy.ts';
import { readTopic } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const DEVICES = ['d1', 'd2', 'd3', 'd4'] as const;
const MESSAGES = 10;

const config = `
kafka: { topics: { partitions: 4 } }
journal: { spill.after.ms: 600000 }
profiles: meters
shutdown.timeout.ms: 20000
`;
const profile = (topic: string): string => `
type: meter
topic: meters/{device}
decode: raw
device: '{device}'
produce: { topic: ${topic}, key: '{device}' }
ack: kafka-or-journal
`;

let kafka: TestKafka;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  kafka = await startKafka();
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

afterAll(async () => {
  await kafka.stop();
});

describe('a gateway that is stopped in an outage, contract kafka-or-journal', () => {
  it('acknowledges from the disk what it had in memory, and delivers it once and in order after the next start', async () => {
    const topic = 'stopped-in-outage';
    const wire = await FaultyWire.open(kafka.ports);
    cleanups.push(() => wire.close());
    const folder = await mkdtemp(join(tmpdir(), 'sluice-stop-'));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const start = async (): Promise<TestGateway> => {
      const gateway = await TestGateway.start({
        folder,
        bootstrapServers: wire.bootstrapServers,
        files: { 'sluice.yaml': config, 'meters/meter.yaml': profile(topic) },
      });
      cleanups.push(() => gateway.stop());
      return gateway;
    };

    const first = await start();
    await first.untilReady();
    // What has no acknowledgement is not sent again.
    const client = await mqtt.connectAsync(first.mqttUrl, { reconnectPeriod: 0 });
    const publish = (device: string, text: string): Promise<unknown> =>
      client.publishAsync(`meters/${device}`, text, { qos: 1 });
    await Promise.all(DEVICES.map((device) => publish(device, 'before')));
    wire.setState({ kind: 'refused' });
    const published = DEVICES.flatMap((device) =>
      Array.from({ length: MESSAGES }, (_, number) => publish(device, String(number))),
    );
    await until(async () => (await first.metric('sluice_deliveries_open')) === published.length, {
      timeoutMs: 60_000,
      what: 'all of them in memory alone',
    });
    const [exit] = await Promise.all([first.stop(), ...published]);
    expect(exit).toBe(0);
    expect(first.output).not.toContain('stopped before Kafka acknowledged everything');
    await client.endAsync(true);

    wire.setState({ kind: 'open' });
    const second = await start();
    await until(async () => (await second.metric('sluice_deliveries_open_in_journal')) === 0, {
      timeoutMs: 60_000,
      what: 'an empty journal',
    });
    const records = await readTopic(kafka.bootstrapServers, topic);
    const numbers = ['before', ...Array.from({ length: MESSAGES }, (_, number) => String(number))];
    for (const device of DEVICES) {
      const values = records.filter(({ key }) => key === device).map(({ value }) => value?.toString());
      expect(values).toEqual(numbers);
    }
  });
});
