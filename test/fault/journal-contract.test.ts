import { cpSync, renameSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import mqtt from 'mqtt';
import type { Packet } from 'mqtt-packet';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { DEAD_LETTER_HEADERS } from '../../src/core/dead-letter.ts';
import type { ContractName } from '../../src/core/contract.ts';
import { RawClient, range } from '../mqtt/harness.ts';
import { PERFECT, type DeliveryVerdict } from '../support/delivery-verdict.ts';
import { judgeAndReport } from '../support/fault-row.ts';
import { startFleet, type WatchedFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { sensorWith } from '../support/journal-gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTelemetry, readTopic } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const projectRoot = resolve(import.meta.dirname, '../..');
const isLarge = process.env.FAULT_RECORDS !== undefined;
/** No broker: nothing listens at port 1. */
const NOBODY = '127.0.0.1:1';
const SCALE = isLarge ? 10 : 1;

let kafka: TestKafka;
let folder: string | undefined;
const gateways: TestGateway[] = [];

beforeAll(async () => {
  kafka = await startKafka();
});

afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  folder = undefined;
  await kafka.revive();
});

afterAll(async () => {
  await kafka.stop();
});

async function gatewayFolder(config = 'kafka: { topics: { partitions: 4 } }\n'): Promise<string> {
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

const GARBAGE_CLIENT = 'early-garbage';

/** Payloads that no sensor sends, every byte among them; resolves with them when they are acknowledged. */
async function sendGarbage(gateway: TestGateway): Promise<Buffer[]> {
  const everyByte = Buffer.from(range(256, 0));
  const payloads = [Buffer.concat([Buffer.from([0xff]), everyByte]), Buffer.from('\xff\0 garbage', 'latin1')];
  const client = await mqtt.connectAsync(gateway.mqttUrl, { clientId: GARBAGE_CLIENT });
  for (const payload of payloads) {
    await client.publishAsync('fleet/oslo/garbage/telemetry', payload, { qos: 1 });
  }
  await client.endAsync();
  return payloads;
}

async function untilDrained(gateway: TestGateway): Promise<void> {
  await until(async () => (await gateway.metric('sluice_deliveries_open_in_journal')) === 0, {
    timeoutMs: 120_000,
    what: 'an empty journal',
  });
}

type Reading = readonly [id: number, sequence: number, again?: 'again'];

/** The sensor `once` with a persistent session, packet by packet. */
class Qos2Device {
  readonly client: RawClient;

  static async connected(gateway: TestGateway): Promise<Qos2Device> {
    const { port } = new URL(gateway.mqttUrl);
    return new Qos2Device(await RawClient.connect(Number(port), { clientId: 'once', clean: false }));
  }

  private constructor(client: RawClient) {
    this.client = client;
  }

  sends(...readings: Reading[]): void {
    const topic = 'fleet/oslo/once/telemetry';
    this.client.send(
      ...readings.map(([messageId, sequence, again]): Packet => {
        const payload = Buffer.from([0x10, sequence]);
        return { cmd: 'publish', topic, payload, qos: 2, retain: false, dup: again !== undefined, messageId };
      }),
    );
  }

  /** Sends them, and has their PUBRECs. */
  async publishes(...readings: Reading[]): Promise<void> {
    const before = this.client.ids('pubrec').length;
    this.sends(...readings);
    await this.client.receives('pubrec', before + readings.length);
    expect(this.client.ids('pubrec').slice(before)).toEqual(readings.map(([id]) => id));
  }

  /** Sends their PUBRELs, and has their PUBCOMPs. */
  async releases(...ids: number[]): Promise<void> {
    const before = this.client.ids('pubcomp').length;
    this.client.send(...ids.map((messageId): Packet => ({ cmd: 'pubrel', messageId })));
    await this.client.receives('pubcomp', before + ids.length);
    expect(this.client.ids('pubcomp').slice(before)).toEqual(ids);
  }
}

/** What Kafka holds of this fleet's devices: all tests of the file share a topic. */
async function verdictOn({ ledger }: WatchedFleet, prefix: string): Promise<DeliveryVerdict> {
  const records = await readTelemetry(kafka.bootstrapServers, 'telemetry');
  return judgeAndReport(
    ledger.accounts(),
    records.filter(({ deviceId }) => deviceId.startsWith(prefix)),
  );
}

describe('contract journal', () => {
  it('accepts with no broker in reach from the start, over a restart, and delivers in order when Kafka comes', async () => {
    await kafka.shutdown();
    const options = {
      folder: await gatewayFolder(),
      bootstrapServers: kafka.bootstrapServers,
      files: sensorWith('journal'),
    };
    const first = await start(options);
    const count = 2_000 * SCALE;
    const watched = startFleet(first, { devices: 20, rate: 4_000, qos: 1, count, prefix: 'early-' });
    expect(await watched.fleet.done()).toMatchObject({ sent: count, acknowledged: count });
    const garbage = await sendGarbage(first);
    const open = count + garbage.length;
    expect(await first.metric('sluice_deliveries_open_in_journal')).toBe(open);
    expect(await first.stop()).toBe(0);

    const second = await start(options);
    expect(await second.metric('sluice_journal_open_records')).toBe(open);
    expect(await second.stop()).toBe(0);

    // What is on the disk stays promised when the type promises the disk no more.
    const third = await start({ ...options, files: sensorWith('kafka') });
    await kafka.restart();
    await untilDrained(third);
    expect(await verdictOn(watched, 'early-')).toEqual(PERFECT);
    const letters = (await readTopic(kafka.bootstrapServers, 'telemetry.dlq')).filter(
      ({ headers }) => headers[DEAD_LETTER_HEADERS.clientId] === GARBAGE_CLIENT,
    );
    expect(letters.map(({ value }) => value)).toEqual(garbage);
    expect(letters[0]?.headers).toMatchObject({ [DEAD_LETTER_HEADERS.code]: 'DECODE_FAILED' });
    expect(await third.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
  });

  it('a QoS 2 publication is in Kafka once, whatever a kill -9 left unfinished, and its identifier names another after PUBCOMP', async () => {
    const options = { folder: await gatewayFolder(), files: sensorWith('journal') };
    // Nothing is with Kafka at the kill: what is there in the end came from the journal, or from the device again.
    const killed = await start({ ...options, bootstrapServers: NOBODY });
    const device = await Qos2Device.connected(killed);
    await device.publishes([1, 1], [2, 2], [3, 3]);
    await device.releases(1, 2);
    // Its identifier is free again, here and after the start.
    await device.publishes([1, 4]);
    // Some of these are on the disk when it dies, of which some have their PUBREC, and some were never read.
    device.sends(...range(40, 10).map((id): Reading => [id, id]));
    await device.client.receives('pubrec', 5);
    device.sends(...range(40, 50).map((id): Reading => [id, id]));
    await killed.kill9();

    const gateway = await start({ ...options, bootstrapServers: kafka.bootstrapServers });
    const back = await Qos2Device.connected(gateway);
    expect(back.client.of('connack')).toMatchObject([{ sessionPresent: true }]);
    // It says that of these it has seen no PUBREC.
    await back.publishes(
      [3, 3, 'again'],
      [1, 4, 'again'],
      ...range(80, 10).map((id): Reading => [id, id, 'again']),
    );
    await back.releases(3, 1, ...range(80, 10));
    await back.publishes([2, 90], [1, 91], [89, 92]);
    await untilDrained(gateway);
    const records = await readTelemetry(kafka.bootstrapServers, 'telemetry');
    const sequences = records.filter(({ deviceId }) => deviceId === 'once').map(({ sequence }) => sequence);
    expect(sequences).toEqual([1, 2, 3, 4, ...range(83, 10)]);
  });

  it('devices wait while its directory is gone, and everything arrives when it is back', async () => {
    const gateway = await start({
      folder: await gatewayFolder('journal: { segment.max.age.ms: 1000 }\n'),
      bootstrapServers: kafka.bootstrapServers,
      files: sensorWith('journal'),
    });
    await gateway.untilReady();
    const count = 6_000 * SCALE;
    const watched = startFleet(gateway, { devices: 20, rate: 1_000, qos: 1, count, prefix: 'unplugged-' });
    await until(() => watched.fleet.snapshot().acknowledged > count / 6, { what: 'acknowledged messages' });
    const journal = join(gateway.folder, '.sluice/journal');
    renameSync(journal, `${journal}-unplugged`);
    await until(
      async () => {
        const { conditions } = await gateway.readiness();
        return conditions.some(({ name, ready }) => name === 'journal' && !ready);
      },
      { what: 'the journal to say that it does not work' },
    );
    renameSync(`${journal}-unplugged`, journal);
    expect(await watched.fleet.done()).toMatchObject({ sent: count, acknowledged: count });
    await untilDrained(gateway);
    expect(await verdictOn(watched, 'unplugged-')).toEqual(PERFECT);
    await gateway.untilReady();
  });
});

describe.each(['journal', 'kafka-or-journal'] satisfies ContractName[])('contract %s', (contract) => {
  it('acknowledges while Kafka is killed and comes back under load; nothing is lost, repeated or turned around', async () => {
    const gateway = await start({
      folder: await gatewayFolder(),
      bootstrapServers: kafka.bootstrapServers,
      files: sensorWith(contract),
    });
    await gateway.untilReady();
    const count = 8_000 * SCALE;
    const prefix = `${contract}-`;
    const watched = startFleet(gateway, { devices: 40, rate: 2_000, qos: 1, count, prefix });
    await until(() => watched.fleet.snapshot().acknowledged > count / 6, { what: 'acknowledged messages' });
    await kafka.kill9();
    const before = watched.fleet.snapshot().acknowledged;
    await until(() => watched.fleet.snapshot().acknowledged > before + count / 3, {
      what: 'acknowledgements without Kafka',
    });
    await kafka.restart();
    expect(await watched.fleet.done()).toMatchObject({
      sent: count,
      acknowledged: count,
      lostConnections: 0,
    });
    await untilDrained(gateway);
    expect(await verdictOn(watched, prefix)).toEqual(PERFECT);
    expect(await gateway.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
  });
});
