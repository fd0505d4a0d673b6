import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin } from '../../src/kafka/clients/kafkajs.ts';
import { partitionForKey } from '../../src/producer/cluster/partitioner.ts';
import { CrowdProcess } from '../support/edge/crowd-process.ts';
import type { GroupFigures, GroupSpec } from '../support/edge/crowd.ts';
import {
  comparedWithQuiet,
  EdgeReport,
  residentMiB,
  Stretch,
  type Figures,
} from '../support/edge/figures.ts';
import { judgeEdge, type EdgeVerdict } from '../support/edge/judge.ts';
import { TestGateway } from '../support/gateway.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';

/*
 * The edge under what a fleet can do to it. Small where it runs with all the others: it judges that nothing is lost and
 * everybody stays connected. `npm run test:edge` runs it at full size, measures, and writes docs/edge-report.md; times
 * never fail it.
 */

const report = new EdgeReport();

const CONNECTIONS = Number(process.env.EDGE_CONNECTIONS ?? 200);
/** How long each stretch of a run takes. */
const SECONDS = Number(process.env.EDGE_SECONDS ?? 1);
/** How long Kafka, or a part of it, is away. */
const AWAY_SECONDS = Number(process.env.EDGE_AWAY_SECONDS ?? 2);
const CALM = Math.min(1_000, CONNECTIONS);
const PARTITIONS = 8;
/** So often does each kind of flood come and go: what else the machine does meets quiet and flood alike. */
const FLOODS = 4;
const TIMEOUT_MS = 300_000 + (8 * SECONDS + 2 * AWAY_SECONDS) * 1_000;

const running: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});

const profile = (group: string, topic: string): string => `
type: edge-${group}
topic: edge/${group}/{device}
decode: raw
device: "{device}"
produce: { topic: ${topic} }
`;

async function startGateway(
  kafka: TestKafka,
  groups: Readonly<Record<string, string>>,
): Promise<TestGateway> {
  const gateway = await TestGateway.start({
    bootstrapServers: kafka.bootstrapServers,
    config: `kafka: { topics: { partitions: ${PARTITIONS} } }\nprofiles: edge\n`,
    files: Object.fromEntries(
      Object.entries(groups).map(([group, topic]) => [`edge/${group}.yaml`, profile(group, topic)]),
    ),
  });
  running.push(gateway);
  await gateway.untilReady();
  return gateway;
}

async function startCrowd(gateway: TestGateway, groups: readonly GroupSpec[]): Promise<CrowdProcess> {
  const port = Number(new URL(gateway.mqttUrl).port);
  const crowd = await CrowdProcess.connected({ port, payloadBytes: 100, groups });
  running.push(crowd);
  return crowd;
}

const devices = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** Lets a stretch of a run pass, with the pings that devices send. */
async function stretch(crowd: CrowdProcess, seconds: number): Promise<void> {
  for (let rest = seconds; rest > 0; rest -= 20) {
    await crowd.ping();
    await new Promise((resolve) => setTimeout(resolve, Math.min(rest, 20) * 1_000));
  }
}

/** Nobody publishes any more, and everything is acknowledged. */
async function settle(crowd: CrowdProcess): Promise<number> {
  const begin = performance.now();
  await crowd.publish();
  await until(async () => Object.values(await crowd.figures()).every(({ inFlight }) => inFlight === 0), {
    timeoutMs: 120_000,
    what: 'everything to be acknowledged',
  });
  return (performance.now() - begin) / 1_000;
}

/** Every device has been answered since `before`. */
async function allAlive(crowd: CrowdProcess, before: number): Promise<void> {
  await crowd.ping();
  const pongs = async (): Promise<number> =>
    Object.values(await crowd.figures()).reduce((sum, one) => sum + one.pongs, 0);
  const all = Object.values(await crowd.figures()).reduce((sum, { up }) => sum + up, 0);
  await until(async () => (await pongs()) >= before + all, { timeoutMs: 60_000, what: 'every PINGRESP' });
}

describe(`${CONNECTIONS} connections, each a message a second`, () => {
  it(
    'lose nothing when all reconnect at once, and none of them while Kafka hangs',
    async () => {
      const kafka = await startKafka();
      running.push(kafka);
      const gateway = await startGateway(kafka, { fleet: 'edge' });
      const emptyMiB = residentMiB(gateway.pid);
      const names = devices('d', CONNECTIONS);
      const crowd = await startCrowd(gateway, [
        { name: 'fleet', devices: names, ratePerDevice: 1, window: 20 },
      ]);
      const fleet = async () => (await crowd.figures()).fleet!;
      const idleMiB = residentMiB(gateway.pid);

      await crowd.publish('fleet');
      await stretch(crowd, SECONDS / 2);
      const before = await fleet();
      await crowd.mark('quiet');
      const quiet = new Stretch(gateway.pid);
      await stretch(crowd, SECONDS);
      const calm = await fleet();
      const idleKiB = ((idleMiB - emptyMiB) * 1_024) / CONNECTIONS;
      report.add(
        `${CONNECTIONS} connections, ${SECONDS} s`,
        {
          'messages/s': (calm.acknowledged - before.acknowledged) / quiet.seconds,
          'CPU µs/message': quiet.cpuPerMessage(calm.acknowledged - before.acknowledged),
          'PUBACK p50 ms': calm.p50Ms,
          'p99 ms': calm.p99Ms,
          'KiB/connection idle': idleKiB,
          'KiB/connection publishing': ((residentMiB(gateway.pid) - emptyMiB) * 1_024) / CONNECTIONS,
        },
        `an idle connection under 20 KiB: ${idleKiB < 20 ? 'holds' : 'missed'}`,
      );

      const storm = performance.now();
      await crowd.storm();
      await until(async () => (await fleet()).lostConnections === CONNECTIONS, { timeoutMs: 60_000 });
      await until(async () => (await fleet()).up === CONNECTIONS, {
        timeoutMs: 120_000,
        what: 'all to be back',
      });
      report.add(`all ${CONNECTIONS} reconnect at once`, {
        'all back after s': (performance.now() - storm) / 1_000,
      });
      await stretch(crowd, SECONDS / 2);

      kafka.pause();
      const hung = residentMiB(gateway.pid);
      await stretch(crowd, AWAY_SECONDS / 2);
      const middle = residentMiB(gateway.pid);
      await stretch(crowd, AWAY_SECONDS / 2);
      const { pongs, acknowledged } = await fleet();
      await allAlive(crowd, pongs);
      const { up, lostConnections } = await fleet();
      const end = residentMiB(gateway.pid);
      kafka.continue();
      await until(async () => (await fleet()).acknowledged > acknowledged, { timeoutMs: 60_000 });
      const drainSeconds = await settle(crowd);
      const lost = lostConnections - CONNECTIONS;
      report.add(
        `Kafka hung for ${AWAY_SECONDS} s`,
        {
          'connections lost': lost,
          'MiB before': hung,
          'MiB in the middle': middle,
          'MiB at the end': end,
          'drained after s': drainSeconds,
        },
        `every connection alive, every ping answered: ${lost === 0 ? 'holds' : 'missed'}`,
      );
      expect({ up, lost }).toEqual({ up: CONNECTIONS, lost: 0 });
      const verdict = await judgeEdge(kafka.bootstrapServers, ['edge'], await crowd.ledger());
      report.add('what Kafka holds of these runs', { ...verdict }, loss(verdict));
      expect(verdict).toMatchObject({ lost: 0, disordered: 0 });
      expect(await gateway.metric('sluice_deliveries_acknowledged_but_lost')).toBe(0);
    },
    TIMEOUT_MS,
  );
});

const loss = ({ lost, disordered }: EdgeVerdict): string =>
  `nothing lost, nothing out of order: ${lost + disordered === 0 ? 'holds' : 'missed'}`;

/** Topics of one replica a partition, the named ones on the node that is going to fail. */
async function createTopics(
  kafka: TestKafka,
  topics: readonly { readonly topic: string; readonly onVictim: (partition: number) => boolean }[],
): Promise<void> {
  const admin = createAdmin({
    bootstrapServers: kafka.bootstrapServers.split(','),
    clientId: 'edge',
    logger: silentLogger,
  });
  await admin.connect();
  await admin.createTopics({
    waitForLeaders: false,
    topics: topics.map(({ topic, onVictim }) => ({
      topic,
      replicaAssignment: Array.from({ length: PARTITIONS }, (_, partition) => ({
        partition,
        replicas: [onVictim(partition) ? VICTIM : 1 + (partition % 2)],
      })),
      configEntries: [{ name: 'min.insync.replicas', value: '1' }],
    })),
  });
  await admin.disconnect();
}

const VICTIM = 3;
const DEAD_PARTITION = 5;
const partitionOf = (device: string): number => partitionForKey(Buffer.from(device), PARTITIONS);

/** Three brokers and six stretches: too long for the run of all tests. */
const isFullSize = process.env.EDGE_CONNECTIONS !== undefined;

describe(`${CALM} calm devices`, () => {
  it.runIf(isFullSize)(
    'go on while a partition and a topic of others have no leader, and beside a device that floods',
    async () => {
      const kafka = await startKafka({ nodes: 3 });
      running.push(kafka);
      await createTopics(kafka, [
        { topic: 'edge', onVictim: (partition) => partition === DEAD_PARTITION },
        { topic: 'edge-other', onVictim: () => true },
      ]);
      const gateway = await startGateway(kafka, {
        calm: 'edge',
        partition: 'edge',
        topic: 'edge-other',
        flood: 'edge',
        unanswered: 'edge',
      });
      const names = devices('d', 2 * CALM);
      const calmNames = names.filter((name) => partitionOf(name) !== DEAD_PARTITION).slice(0, CALM);
      const onDeadPartition = names.filter((name) => partitionOf(name) === DEAD_PARTITION);
      const crowd = await startCrowd(gateway, [
        { name: 'calm', devices: calmNames, ratePerDevice: 1, window: 20 },
        { name: 'partition', devices: onDeadPartition.slice(0, CALM / 8), ratePerDevice: 1, window: 20 },
        { name: 'topic', devices: devices('t', CALM / 8), ratePerDevice: 1, window: 20 },
      ]);
      // In a process of their own: what they cost themselves is not the calm devices' time.
      const flooders = await startCrowd(gateway, [
        { name: 'flood', devices: ['flood'], ratePerDevice: 0, window: 1_000 },
        { name: 'unanswered', devices: ['unanswered'], ratePerDevice: 0, window: 0 },
      ]);
      const measured = async (name: string, seconds: number): Promise<GroupFigures> => {
        await crowd.mark(name);
        const { calm: before } = await crowd.figures();
        await stretch(crowd, seconds);
        const { calm: after } = await crowd.figures();
        await crowd.mark('in between');
        expect(after!.acknowledged).toBeGreaterThan(before!.acknowledged);
        return after!;
      };
      await crowd.publish('calm', 'partition', 'topic');
      await stretch(crowd, SECONDS / 2);
      await measured('quiet', SECONDS);

      await kafka.kill9(VICTIM);
      await until(async () => (await crowd.figures()).topic!.inFlight > 0);
      // Until the cluster has noticed, its metadata still names the leader.
      await stretch(crowd, Math.min(10, SECONDS));
      const dead = await measured('dead', AWAY_SECONDS);
      await allAlive(
        crowd,
        Object.values(await crowd.figures()).reduce((sum, one) => sum + one.pongs, 0),
      );
      for (const one of Object.values(await crowd.figures())) expect(one.lostConnections).toBe(0);
      await kafka.restart(VICTIM);
      await settle(crowd);
      await crowd.publish('calm', 'partition', 'topic');
      await stretch(crowd, SECONDS / 2);

      const floods = new Map<string, { readonly calm: GroupFigures; readonly perSecond: number }>();
      let quiet = await measured('quiet', SECONDS / FLOODS);
      for (let round = 0; round < FLOODS; round++) {
        for (const flood of ['flood', 'unanswered']) {
          const before = (await flooders.figures())[flood]!.sent;
          const since = performance.now();
          await flooders.publish(flood);
          const calm = await measured(flood, SECONDS / FLOODS);
          const sent = (await flooders.figures())[flood]!.sent - before;
          floods.set(flood, { calm, perSecond: (sent * 1_000) / (performance.now() - since) });
          await flooders.publish();
          await until(async () => (await flooders.figures()).flood!.inFlight === 0, { timeoutMs: 60_000 });
          await stretch(crowd, 1);
          quiet = await measured('quiet', SECONDS / FLOODS);
        }
      }
      report.add(`${CALM} calm devices, quiet`, timesOf(quiet));
      report.add(
        `the same, one of eight partitions and one of two topics without a leader for ${AWAY_SECONDS} s`,
        timesOf(dead),
        comparedWithQuiet(dead.p99Ms, quiet.p99Ms),
      );
      for (const [name, { calm, perSecond }] of floods) {
        const how = name === 'flood' ? 'keeps 1,000 in flight' : 'writes all that its socket takes, at QoS 0';
        report.add(
          `the same, beside one that ${how}`,
          { ...timesOf(calm), 'its messages/s': perSecond },
          comparedWithQuiet(calm.p99Ms, quiet.p99Ms),
        );
      }

      await settle(crowd);
      const sent = [...(await crowd.ledger()), ...(await flooders.ledger())];
      const topics = ['edge', 'edge-other'];
      const verdict = await judgeEdge(kafka.bootstrapServers, topics, sent, ['unanswered']);
      report.add('what Kafka holds of these runs', { ...verdict }, loss(verdict));
      expect(verdict).toMatchObject({ lost: 0, disordered: 0 });
    },
    TIMEOUT_MS,
  );
});

const timesOf = ({ p50Ms, p99Ms, maxMs }: GroupFigures): Figures => ({
  'PUBACK p50 ms': p50Ms,
  'p99 ms': p99Ms,
  'max ms': maxMs,
});
