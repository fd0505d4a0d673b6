import { cpSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import mqtt from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import type { ContractName } from '../../src/core/contract.ts';
import type { LatencyPercentiles } from '../../src/core/latency.ts';
import { PERFECT } from '../support/delivery-verdict.ts';
import { FaultyDisk, noMounts, SmallDisk } from '../support/disk-faults.ts';
import { judgeAndReport, reportFaultNote } from '../support/fault-row.ts';
import { startFleet, type WatchedFleet } from '../support/fleets.ts';
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { sensorsOf } from '../support/journal-gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTelemetry } from '../support/telemetry-topic.ts';
import { until } from '../support/until.ts';

const projectRoot = resolve(import.meta.dirname, '../..');
const isLarge = process.env.FAULT_RECORDS !== undefined;
const CONTRACTS = ['kafka', 'journal', 'kafka-or-journal'] as const satisfies ContractName[];

let kafka: TestKafka;
let folder: string;
let disk: FaultyDisk;
const gateways: TestGateway[] = [];

beforeAll(async () => {
  kafka = await startKafka();
});

afterEach(async () => {
  disk.heal();
  kafka.continue();
  for (const gateway of gateways.splice(0)) await gateway.stop();
  await rm(folder, { recursive: true, force: true });
});

afterAll(async () => {
  await kafka.stop();
});

/** A folder with a sensor type for each contract, whose journal is in the folder `disk`. */
async function prepare(more = ''): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
  cpSync(join(projectRoot, 'proto'), join(folder, 'proto'), { recursive: true });
  await writeFile(
    join(folder, 'sluice.yaml'),
    `kafka: { topics: { partitions: 4 }, producer: { compression.type: gzip } }
profiles: sensors
journal: { directories: [disk], segment.bytes: 65536, segment.max.age.ms: 1000, buffer.bytes: 1048576, stalled.after.ms: 1000, spill.after.ms: 600000 }
${more}`,
  );
  disk = new FaultyDisk(folder);
}

async function start(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const gateway = await TestGateway.start({
    folder,
    bootstrapServers: kafka.bootstrapServers,
    files: sensorsOf(CONTRACTS),
    ...options,
  });
  gateways.push(gateway);
  return gateway;
}

type Fleets = Readonly<Record<(typeof CONTRACTS)[number], WatchedFleet>>;

/** Devices of every contract, which publish until {@link untilHealed}. */
function startFleets(gateway: TestGateway, name: string, rate: number): Fleets {
  const fleets = CONTRACTS.map((contract) => [
    contract,
    startFleet(gateway, { devices: 10, rate, qos: 1, prefix: `${name}-${contract}-` }, [`env-${contract}`]),
  ]);
  return Object.fromEntries(fleets) as Fleets;
}

const acknowledged = ({ fleet }: WatchedFleet): number => fleet.snapshot().acknowledged;

async function moreAcknowledged(fleet: WatchedFleet, more: number): Promise<void> {
  const goal = acknowledged(fleet) + more;
  await until(() => acknowledged(fleet) >= goal, { timeoutMs: 60_000, what: 'acknowledgements' });
}

/** PUBLISH to PUBACK while a fleet that sends so many a second does so for so long: of the worst ten seconds. */
async function latencyOver(seconds: number, rate: number, watched: WatchedFleet): Promise<string> {
  const stretches: LatencyPercentiles[] = [];
  for (let left = seconds; left > 0; left -= 10) {
    await moreAcknowledged(watched, 10 * rate);
    stretches.push(watched.fleet.recentLatency());
  }
  const worst = (of: (times: LatencyPercentiles) => number | undefined): string =>
    Math.max(...stretches.map((times) => of(times) ?? Number.NaN)).toFixed(0);
  return `p50 ${worst(({ p50Ms }) => p50Ms)} ms, p99 ${worst(({ p99Ms }) => p99Ms)} ms`;
}

async function journalCondition(gateway: TestGateway): Promise<{ ready: boolean; reason: string }> {
  const { conditions } = await gateway.readiness();
  return conditions.find(({ name }) => name === 'journal')!;
}

async function untilBroken(gateway: TestGateway, reason: string): Promise<void> {
  await until(
    async () => {
      const condition = await journalCondition(gateway);
      return !condition.ready && condition.reason.includes(reason);
    },
    { timeoutMs: 60_000, what: `a journal that says: ${reason}` },
  );
  expect(await gateway.metric('sluice_journal_healthy')).toBe(0);
}

/** Everybody has everything acknowledged, it is in Kafka once and in order, and the gateway says that all is well. */
async function untilHealed(gateway: TestGateway, fleets: Fleets, name: string): Promise<void> {
  for (const contract of CONTRACTS) {
    const { sent, acknowledged, lostConnections } = await fleets[contract].fleet.stop(60_000);
    expect({ acknowledged, lostConnections }, contract).toEqual({ acknowledged: sent, lostConnections: 0 });
  }
  await until(async () => (await gateway.metric('sluice_deliveries_open_in_journal')) === 0, {
    timeoutMs: 60_000,
    what: 'an empty journal',
  });
  await gateway.untilReady();
  expect(await gateway.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
  expect(await gateway.metric('sluice_ledger_imbalanced')).toBe(0);
  const records = await readTelemetry(kafka.bootstrapServers, 'telemetry');
  const accounts = new Map(CONTRACTS.flatMap((contract) => [...fleets[contract].ledger.accounts()]));
  expect(
    judgeAndReport(
      accounts,
      records.filter(({ deviceId }) => deviceId.startsWith(`${name}-`)),
    ),
  ).toEqual(PERFECT);
}

/** Complaints about the disk: said when it begins, not for every message or every try. */
const complaints = ({ output }: TestGateway): number =>
  output.split('the journal takes no records').length - 1;

describe('fsync that hangs, of the journal, the session store and the audit log at once', () => {
  it('holds up no `kafka` route; what needs the disk waits; and all of it goes on when the disk does', async () => {
    await prepare('audit: { directory: audit, sync.interval.ms: 10 }\n');
    const gateway = await start(disk.launch);
    await gateway.untilReady();
    const fleets = startFleets(gateway, 'hang', 200);
    for (const contract of CONTRACTS) await moreAcknowledged(fleets[contract], 100);
    const before = isLarge ? await latencyOver(30, 200, fleets.kafka) : '';

    disk.hang();
    await untilBroken(gateway, 'the disk has not answered');
    // A session that is to survive the gateway: its SUBACK waits for the disk.
    const client = await mqtt.connectAsync(gateway.mqttUrl, { clientId: 'keeper', clean: false });
    let subscribed = false;
    const subscription = client.subscribeAsync('commands/#', { qos: 1 }).then(
      () => (subscribed = true),
      () => {},
    );
    await until(async () => (await gateway.metric('sluice_audit_writing')) === 1, {
      what: 'the audit log to hang',
    });
    const during = isLarge ? await latencyOver(60, 200, fleets.kafka) : '';
    if (!isLarge) await moreAcknowledged(fleets.kafka, 400);
    await moreAcknowledged(fleets['kafka-or-journal'], 100);
    expect((await journalCondition(gateway)).ready).toBe(false);
    expect(subscribed).toBe(false);

    disk.heal();
    await subscription;
    await client.endAsync();
    await until(async () => (await journalCondition(gateway)).ready, { what: 'the journal to work again' });
    for (const contract of CONTRACTS) await moreAcknowledged(fleets[contract], 50);
    if (isLarge) {
      const after = await latencyOver(30, 200, fleets.kafka);
      reportFaultNote(
        `PUBLISH to PUBACK of \`kafka\` routes, of the worst 10 s: before ${before}; in a minute in which every fsync hangs ${during}; after it ${after}`,
      );
    }
    await untilHealed(gateway, fleets, 'hang');
  });

  it('and Kafka away too: no device has its PUBACK before its record is on the disk', async () => {
    await prepare();
    // A port that nobody listens on any more.
    const gateway = await start({ ...disk.launch, bootstrapServers: '127.0.0.1:1' });
    const client = await mqtt.connectAsync(gateway.mqttUrl);
    const payload = Buffer.from([0x10, 1]);
    const publish = (): Promise<unknown> =>
      client.publishAsync('journal/oslo/d1/telemetry', payload, { qos: 1 });
    await publish();
    disk.hang();
    let told = 0;
    const waiting = Array.from({ length: 5 }, async () => {
      await publish();
      told++;
    });
    await until(async () => (await gateway.metric('sluice_journal_pending_records')) === 5, {
      what: 'five records',
    });
    await untilBroken(gateway, 'the disk has not answered');
    expect(told).toBe(0);
    disk.heal();
    await Promise.all(waiting);
    expect(await gateway.metric('sluice_deliveries_open_in_journal')).toBe(6);
    await client.endAsync();
  });
});

// Their unit tests are in test/journal/faults.test.ts; with a gateway and a fleet in `npm run test:faults`.
describe.skipIf(!isLarge)('a disk that fails', () => {
  it('with EIO at every sync: `kafka` and `kafka-or-journal` go on, the state shows, and it heals by itself', async () => {
    await prepare();
    const gateway = await start(disk.launch);
    await gateway.untilReady();
    const fleets = startFleets(gateway, 'eio', 300);
    for (const contract of CONTRACTS) await moreAcknowledged(fleets[contract], 100);
    disk.fail();
    await untilBroken(gateway, 'EIO');
    await moreAcknowledged(fleets.kafka, 200);
    await moreAcknowledged(fleets['kafka-or-journal'], 200);
    expect((await journalCondition(gateway)).ready).toBe(false);
    disk.heal();
    await untilHealed(gateway, fleets, 'eio');
    expect(complaints(gateway)).toBeLessThan(4);
  });
});

describe.skipIf(noMounts !== undefined)(
  `a disk of the journal's own${noMounts === undefined ? '' : ` (${noMounts})`}`,
  () => {
    it.skipIf(!isLarge)(
      'that turns read-only: `kafka` and `kafka-or-journal` go on, the state shows, and it heals by itself',
      async () => {
        await prepare();
        const small = new SmallDisk(join(folder, 'disk'), 64 << 20);
        const gateway = await start(small.launch);
        await gateway.untilReady();
        const fleets = startFleets(gateway, 'ro', 300);
        for (const contract of CONTRACTS) await moreAcknowledged(fleets[contract], 100);
        small.cover(gateway.pid);
        await untilBroken(gateway, 'read-only');
        await moreAcknowledged(fleets.kafka, 200);
        await moreAcknowledged(fleets['kafka-or-journal'], 200);
        expect((await journalCondition(gateway)).ready).toBe(false);
        small.uncover(gateway.pid);
        await untilHealed(gateway, fleets, 'ro');
        expect(complaints(gateway)).toBeLessThan(4);
      },
    );

    it.skipIf(!isLarge)(
      'that is unplugged: nothing is written where it was, `kafka` and `kafka-or-journal` go on, and it heals by itself',
      async () => {
        await prepare();
        const small = new SmallDisk(join(folder, 'disk'), 64 << 20);
        const gateway = await start(small.launch);
        await gateway.untilReady();
        const fleets = startFleets(gateway, 'away', 300);
        for (const contract of CONTRACTS) await moreAcknowledged(fleets[contract], 100);
        small.unplug(gateway.pid);
        await untilBroken(gateway, 'mount its disk again');
        await moreAcknowledged(fleets.kafka, 200);
        await moreAcknowledged(fleets['kafka-or-journal'], 200);
        expect(small.list(gateway.pid)).toEqual([]);
        small.uncover(gateway.pid);
        await untilHealed(gateway, fleets, 'away');
        expect(complaints(gateway)).toBeLessThan(4);
      },
    );

    it('that is full while Kafka does not answer: devices wait, and go on when there is space, and when Kafka is back', async () => {
      await prepare();
      const small = new SmallDisk(join(folder, 'disk'), 8 << 20);
      const gateway = await start(small.launch);
      await gateway.untilReady();
      const fleets = startFleets(gateway, 'full', 300);
      for (const contract of CONTRACTS) await moreAcknowledged(fleets[contract], 100);
      kafka.pause();
      await moreAcknowledged(fleets.journal, 100);
      small.fill(gateway.pid);
      await untilBroken(gateway, 'ENOSPC');
      small.free(gateway.pid);
      await moreAcknowledged(fleets.journal, 100);
      kafka.continue();
      await untilHealed(gateway, fleets, 'full');
      expect(complaints(gateway)).toBeGreaterThan(0);
    });
  },
);
