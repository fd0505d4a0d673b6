import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { brokerFolder } from '../../src/testbed/local-kafka/broker-files.ts';
import { findFreePorts, portFault, probeCluster } from '../../src/testbed/local-kafka/ports.ts';
import { ensureKafkaJars, findJava } from '../../src/testbed/local-kafka/jars.ts';
import { startLocalKafka, type LocalKafka } from '../../src/testbed/local-kafka/local-kafka.ts';
import { identify, signal, type ProcessIdentity } from '../../src/testbed/local-kafka/process-identity.ts';
import type { ProcessRecord } from '../../src/testbed/local-kafka/watcher.ts';
import { KafkaTools } from '../support/kafka-tools.ts';
import { until } from '../support/until.ts';

let dataDir: string;
let port: number;
let progress: string[];
const running: LocalKafka[] = [];
const owners: ChildProcess[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sluice-local-kafka-'));
  [port = 0] = await findFreePorts(1);
  progress = [];
});

afterEach(async () => {
  for (const owner of owners.splice(0)) owner.kill('SIGKILL');
  for (const kafka of running.splice(0)) await kafka.stop();
  await until(async () => (await portFault(port)) === undefined, { what: 'the port to be free again' });
  await rm(dataDir, { recursive: true, force: true });
});

async function start(): Promise<LocalKafka> {
  const kafka = await startLocalKafka({
    dataDir,
    port,
    logger: silentLogger,
    clock: systemClock,
    onProgress: (line) => progress.push(line),
  });
  running.push(kafka);
  return kafka;
}

/** Starts a process that owns a local Kafka on the test's folder and port, and reads what it says of it. */
async function startOwner(): Promise<{
  owner: ChildProcess;
  pid?: number;
  adopted?: boolean;
  code?: string;
}> {
  const program = join(import.meta.dirname, '../support/local-kafka-owner.ts');
  // Detached, to have a process group that Ctrl-C can be sent to.
  const owner = spawn(process.execPath, [program, dataDir, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  owners.push(owner);
  const [line] = (await once(createInterface({ input: owner.stdout }), 'line')) as [string];
  return { owner, ...(JSON.parse(line) as { pid?: number; adopted?: boolean; code?: string }) };
}

async function processRecord(): Promise<ProcessRecord> {
  return JSON.parse(await readFile(brokerFolder(dataDir).processes, 'utf8')) as ProcessRecord;
}

async function tools(): Promise<KafkaTools> {
  const jarFolder = await ensureKafkaJars(() => {});
  return new KafkaTools(await findJava(), jarFolder, `127.0.0.1:${port}`, [brokerFolder(dataDir).data]);
}

function untilGone(process: ProcessIdentity | undefined, what: string): Promise<void> {
  return until(() => process === undefined || identify(process.pid)?.startedAt !== process.startedAt, {
    what,
  });
}

describe('a local Kafka', () => {
  test('starts in an empty folder, and its topics survive a restart', async () => {
    const first = await start();
    expect(first.state).toBe('running');
    expect(first.adopted).toBe(false);
    await (await tools()).createTopic('kept', { partitions: 3 });
    await first.stop();
    expect(first.state).toBe('stopped');
    expect(await portFault(port)).toBeUndefined();

    const second = await start();
    expect(second.clusterId).toBe(first.clusterId);
    expect([...(await (await tools()).offsets('kept')).keys()]).toEqual([0, 1, 2]);
  });

  test('heals a folder whose formatting was cut off', async () => {
    const folder = brokerFolder(dataDir);
    await mkdir(folder.data, { recursive: true });
    await writeFile(join(folder.data, 'bootstrap.checkpoint'), '');
    await writeFile(join(folder.data, 'meta.properties'), '');
    await mkdir(join(dataDir, 'format-killed', 'data'), { recursive: true });
    expect((await start()).state).toBe('running');
  });

  test('says what Kafka said last when it can not start', async () => {
    const folder = brokerFolder(dataDir);
    await (await start()).stop();
    const metaFile = join(folder.data, 'meta.properties');
    const meta = await readFile(metaFile, 'utf8');
    await writeFile(metaFile, meta.replace('node.id=1', 'node.id=7'));
    await expect(start()).rejects.toMatchObject({
      code: 'KAFKA_START_FAILED',
      message: expect.stringMatching(/exit status 1[^]*server\.log[^]*node id 7/) as string,
    });
  });

  test('is restarted when it dies', async () => {
    const kafka = await start();
    const before = identify(kafka.pid!)!;
    signal(before, 'SIGKILL');
    await until(() => kafka.state === 'restarting', { what: 'the death to be noticed' });
    expect(kafka.lastFault).toContain('SIGKILL');
    await until(() => kafka.state === 'running', { what: 'the restart', timeoutMs: 60_000 });
    expect(kafka.pid).not.toBe(before.pid);
    expect(kafka.lastFault).toBeUndefined();
    expect((await probeCluster(port))?.clusterId).toBe(kafka.clusterId);
  });

  test('can be stopped while it is being restarted', async () => {
    const kafka = await start();
    signal(identify(kafka.pid!)!, 'SIGKILL');
    await until(() => kafka.state === 'restarting', { what: 'the death to be noticed' });
    await kafka.stop();
    expect(kafka.state).toBe('stopped');
    expect(await portFault(port)).toBeUndefined();
  });

  test('goes on under a new watcher when its watcher is killed', async () => {
    const kafka = await start();
    const { kafka: before, watcher } = await processRecord();
    signal(watcher, 'SIGKILL');
    await until(() => kafka.state === 'restarting', { what: 'the loss to be noticed' });
    await until(() => kafka.state === 'running', { what: 'the adoption' });
    expect(kafka.pid).toBe(before.pid);
    expect(kafka.adopted).toBe(true);
    expect((await processRecord()).watcher.pid).not.toBe(watcher.pid);
    await kafka.stop();
    await untilGone(before, 'the adopted Kafka to end');
  });
});

describe('a local Kafka whose gateway is killed with -9', () => {
  test('ends within seconds, and the next start waits for that and succeeds', async () => {
    const { owner, pid } = await startOwner();
    const old = identify(pid!)!;
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const kafka = await start();
    expect(identify(old.pid)).not.toEqual(old);
    expect(kafka.pid).not.toBe(old.pid);
    expect(kafka.adopted).toBe(false);
  });

  test('ends within seconds even if nobody starts again', async () => {
    const { owner, pid } = await startOwner();
    const old = identify(pid!);
    owner.kill('SIGKILL');
    await untilGone(old, 'Kafka to end');
  });

  test('together with its watcher, is adopted by the next start and stopped by it', async () => {
    const { owner, pid } = await startOwner();
    const { watcher, kafka: old } = await processRecord();
    // Stopped first, so that neither death is noticed by the other.
    signal(watcher, 'SIGSTOP');
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    signal(watcher, 'SIGKILL');
    await untilGone(watcher, 'the watcher to die');

    const kafka = await start();
    expect(kafka.adopted).toBe(true);
    expect(kafka.pid).toBe(pid);
    await kafka.stop();
    await untilGone(old, 'the adopted Kafka to end');
  });
});

describe('a local Kafka and the terminal', () => {
  test('does not hear a Ctrl-C that reaches the whole process group of its gateway', async () => {
    const { owner, pid } = await startOwner();
    process.kill(-owner.pid!, 'SIGINT');
    owner.stdin!.end();
    await once(owner, 'exit');
    // The owner has ended by itself after having stopped Kafka in good order, and that takes Kafka alive.
    expect(owner.signalCode).toBeNull();
    expect(identify(pid!)).toBeUndefined();
    expect(await readFile(brokerFolder(dataDir).serverLog, 'utf8')).toContain('shut down completed');
  });
});

describe('a port or folder that somebody else has', () => {
  test('another program on the port: one line that says so and what to do', async () => {
    const stranger: Server = createServer((socket) => socket.resume().end('HTTP/1.1 400\r\n\r\n'));
    await new Promise<void>((resolve) => stranger.listen(port, '127.0.0.1', resolve));
    try {
      await expect(start()).rejects.toMatchObject({
        code: 'KAFKA_PORT_IN_USE',
        message: expect.stringMatching(
          new RegExp(
            `127\\.0\\.0\\.1:${port}, which another program.*kafka\\.local\\.port.*bootstrap\\.servers`,
          ),
        ) as string,
      });
    } finally {
      await new Promise((resolve) => stranger.close(resolve));
    }
  });

  test('another Kafka on the port: it is not taken over, but offered', async () => {
    const other = await start();
    const elsewhere = await mkdtemp(join(tmpdir(), 'sluice-local-kafka-'));
    try {
      const attempt = startLocalKafka({
        dataDir: elsewhere,
        port,
        logger: silentLogger,
        clock: systemClock,
        onProgress() {},
      });
      await expect(attempt).rejects.toMatchObject({
        code: 'KAFKA_PORT_IN_USE',
        message: expect.stringContaining(`set kafka.bootstrap.servers: 127.0.0.1:${port}`) as string,
      });
      expect(other.state).toBe('running');
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
  });

  test('another gateway on the folder: it is named, and its Kafka left alone', async () => {
    const { owner, pid } = await startOwner();
    await expect(start()).rejects.toMatchObject({
      code: 'KAFKA_DATA_FOLDER_IN_USE',
      message: expect.stringContaining(`pid ${String(owner.pid)}`) as string,
    });
    expect(identify(pid!)).toBeDefined();
    owner.stdin!.end();
    await once(owner, 'exit');
  });
});
