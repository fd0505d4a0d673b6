import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DrillFolder, isScratchTopicOf, removeDeadDrills } from '../../../src/testbed/drill/drill-folder.ts';

const root = resolve(import.meta.dirname, '../../..');

let parent: string;
let own: DrillFolder;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sluice-dead-drills-'));
  own = await DrillFolder.make(parent);
});

afterEach(async () => {
  await own.remove();
  await rm(parent, { recursive: true, force: true });
});

/** A drill in a process of its own, with a topic on the cluster `clusterId`, and what it has written. */
async function killedDrill(clusterId?: string): Promise<{ folder: string; topic: string }> {
  const module = JSON.stringify(join(root, 'src/testbed/drill/drill-folder.ts'));
  const cluster = JSON.stringify({ id: clusterId, bootstrapServers: ['broker-1:9092'] });
  const script = `
    const { DrillFolder } = await import(${module});
    const folder = await DrillFolder.make(${JSON.stringify(parent)});
    ${clusterId === undefined ? '' : `await folder.noteCluster(${cluster});`}
    process.stdout.write(JSON.stringify({ folder: folder.path, topic: folder.scratchTopic('crash') }) + '\\n');
    setInterval(() => undefined, 1e6);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise((done) => child.once('close', done));
  let output = '';
  for await (const chunk of child.stdout) {
    output += String(chunk);
    if (output.endsWith('\n')) break;
  }
  child.kill('SIGKILL');
  await exited;
  const drill = JSON.parse(output) as { folder: string; topic: string };
  mkdirSync(join(drill.folder, 'gateway-abc/journal'), { recursive: true });
  writeFileSync(join(drill.folder, 'gateway-abc/journal/segment'), 'records');
  return drill;
}

/** The id of the cluster that the drill at hand uses. */
const CLUSTER = 'this one';

class FakeCluster {
  readonly topics: Set<string>;
  readonly deleted: string[] = [];
  fault: Error | undefined;

  constructor(topics: readonly string[]) {
    this.topics = new Set(topics);
  }

  listTopics(): Promise<string[]> {
    return Promise.resolve([...this.topics]);
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    if (this.fault !== undefined) return Promise.reject(this.fault);
    this.deleted.push(...topics);
    return Promise.resolve();
  }
}

describe('what a drill left that was killed with kill -9', () => {
  it('is named and removed by the next one: its topics and its folder, and nothing else', async () => {
    const { folder, topic } = await killedDrill(CLUSTER);
    const others = ['telemetry', 'sluice-drill-crash-20260101T000000-0badcafe', own.scratchTopic('crash')];
    const cluster = new FakeCluster([`${topic}.dlq`, topic, ...others]);
    const said = await removeDeadDrills(CLUSTER, cluster, own.path);
    expect(cluster.deleted).toEqual([topic, `${topic}.dlq`]);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^a drill that was killed \(process \d+, \d{4}-.*Z\): removed /);
    for (const what of [`topic ${topic},`, `topic ${topic}.dlq,`, `folder ${folder}`]) {
      expect(said[0]).toContain(what);
    }
    expect(readdirSync(parent)).toEqual([basename(own.path)]);
  });

  it('without topics, because its Kafka was its own, is a folder', async () => {
    const { folder, topic } = await killedDrill();
    const cluster = new FakeCluster([topic]);
    expect(await removeDeadDrills(CLUSTER, cluster, own.path)).toEqual([
      expect.stringMatching(/: removed folder .*sluice-drill-/),
    ]);
    expect(cluster.deleted).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });

  it('on another Kafka stays, and is named with the Kafka where it is', async () => {
    const { folder, topic } = await killedDrill('another one');
    const cluster = new FakeCluster([topic]);
    expect(await removeDeadDrills(CLUSTER, cluster, own.path)).toEqual([
      expect.stringContaining('are on another Kafka (broker-1:9092)'),
    ]);
    expect(cluster.deleted).toEqual([]);
    expect(existsSync(join(folder, 'gateway-abc/journal/segment'))).toBe(true);
  });

  it('that can not be deleted now is named, and removed by a later drill', async () => {
    const { folder, topic } = await killedDrill(CLUSTER);
    const cluster = new FakeCluster([topic]);
    cluster.fault = new Error('not authorised');
    expect(await removeDeadDrills(CLUSTER, cluster, own.path)).toEqual([
      expect.stringMatching(/could not be removed: not authorised$/),
    ]);
    expect(existsSync(folder)).toBe(true);
    cluster.fault = undefined;
    expect(await removeDeadDrills(CLUSTER, cluster, own.path)).toHaveLength(1);
    expect(cluster.deleted).toEqual([topic]);
    expect(existsSync(folder)).toBe(false);
  });
});

describe('what is not surely left by a dead drill', () => {
  it('is not touched: a drill that runs, a folder without a marker, a link, a marker that is none', async () => {
    const running = await DrillFolder.make(parent);
    await running.noteCluster({ id: CLUSTER, bootstrapServers: [] });
    const { folder: elsewhere } = await killedDrill(CLUSTER);
    mkdirSync(join(parent, 'aside'));
    const marker = join(parent, 'aside', 'drill.json');
    writeFileSync(marker, JSON.stringify({ id: 'abcdef01', pid: 1, startedAt: 'then' }));
    symlinkSync(join(parent, 'aside'), join(parent, 'sluice-drill-link'));
    mkdirSync(join(parent, 'sluice-drill-unmarked'));
    mkdirSync(join(parent, 'sluice-drill-odd'));
    writeFileSync(join(parent, 'sluice-drill-odd', 'drill.json'), '{"id":"../../etc"}');

    const cluster = new FakeCluster([running.scratchTopic('crash')]);
    expect(await removeDeadDrills(CLUSTER, cluster, own.path)).toHaveLength(1);
    expect(existsSync(elsewhere)).toBe(false);
    expect(cluster.deleted).toEqual([]);
    expect(readdirSync(parent).sort()).toEqual(
      [
        'aside',
        basename(own.path),
        basename(running.path),
        'sluice-drill-link',
        'sluice-drill-odd',
        'sluice-drill-unmarked',
      ].sort(),
    );
    expect(existsSync(marker)).toBe(true);
    await running.remove();
  });

  it.each([
    ['sluice-drill-kafka-down-20261123T224343-abcdef01', true],
    ['sluice-drill-kafka-down-20261123T224343-abcdef01.dlq', true],
    ['sluice-drill-kafka-down-20261123T224343-abcdef02', false],
    ['sluice-drill-mine-abcdef01', false],
    ['telemetry-abcdef01', false],
    ['my-sluice-drill-crash-20261123T224343-abcdef01', false],
  ])('topic %s of drill abcdef01: %s', (topic, is) => {
    expect(isScratchTopicOf('abcdef01', topic)).toBe(is);
  });
});
