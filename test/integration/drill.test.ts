import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin } from '../../src/kafka/clients/kafkajs.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { until } from '../support/until.ts';

const root = resolve(import.meta.dirname, '../..');

let folder: string;
let children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-drill-test-'));
  await writeFile(
    join(folder, 'sluice.yaml'),
    `kafka:
  bootstrap.servers: ${sharedKafka().bootstrapServers}
  # How long a broker that says nothing is trusted bounds how long a drill waits for the end of the silence.
  producer: { linger.ms: 5, request.timeout.ms: 1500, reconnect.backoff.max.ms: 200 }
  topics: { partitions: 3 }
profiles: ${join(root, 'devices')}
`,
  );
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await rm(folder, { recursive: true, force: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

/** `sluice drill` as a person would start it, with a folder for temporary files that can be looked into. */
function drill(...args: readonly string[]): Running {
  const child = spawn(
    process.execPath,
    [join(root, 'src/cli/main.ts'), 'drill', '--config', join(folder, 'sluice.yaml'), ...args],
    { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TMPDIR: folder } },
  );
  children.push(child);
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const exit = new Promise<number | null>((done) => child.once('close', done));
  return { child, output: () => output, exit };
}

async function scratchTopics(scenario: string): Promise<string[]> {
  const admin = createAdmin({
    bootstrapServers: sharedKafka().bootstrapServers.split(','),
    clientId: 'test',
    logger: silentLogger,
  });
  try {
    await admin.connect();
    const topics = await admin.listTopics();
    return topics.filter((topic) => topic.startsWith(`sluice-drill-${scenario}-`));
  } finally {
    await admin.disconnect();
  }
}

/** Gateways under test that run with a configuration in our folder. */
function gatewaysLeft(): string[] {
  return readdirSync('/proc').filter((pid) => {
    const file = `/proc/${pid}/cmdline`;
    return (
      /^\d+$/.test(pid) && existsSync(file) && readFileSync(file, 'utf8').includes(`${folder}/sluice-drill-`)
    );
  });
}

async function expectNothingLeft(scenario: string): Promise<void> {
  expect(readdirSync(folder).filter((name) => name.startsWith('sluice-drill-'))).toEqual([]);
  expect(gatewaysLeft()).toEqual([]);
  await until(async () => (await scratchTopics(scenario)).length === 0, { what: 'the topics to be gone' });
}

const SMALL = ['--devices', '20', '--rate', '200', '--seconds', '3'];

describe('sluice drill, against a real Kafka', () => {
  it('kafka-down: passes, writes its report, and leaves nothing behind', async () => {
    const report = join(folder, 'report.html');
    const { exit, output } = drill(...SMALL, '--scenario', 'kafka-down', '--report', report);
    expect(await exit, output()).toBe(0);
    expect(output()).toMatch(/Lost +0\n +Order faults +0\n +Duplicates +0\n/);
    expect(output()).toContain('PASSED');
    expect(readFileSync(report, 'utf8')).toContain('Passed: kafka-down');
    await expectNothingLeft('kafka-down');
  });

  it('crash: passes; what is in Kafka twice is what devices had to send again', async () => {
    const { exit, output } = drill(...SMALL, '--scenario', 'crash');
    expect(await exit, output()).toBe(0);
    expect(output()).toMatch(/Lost +0\n +Order faults +0\n/);
    await expectNothingLeft('crash');
  });

  it('interrupted with Ctrl-C in the middle, removes topics, process and files, and has no verdict', async () => {
    const { child, exit, output } = drill(...SMALL, '--scenario', 'kafka-slow', '--seconds', '9');
    await until(() => output().includes('every byte to and from Kafka'), {
      timeoutMs: 30_000,
      what: 'the fault',
    });
    expect(gatewaysLeft()).toHaveLength(1);
    expect(await scratchTopics('kafka-slow')).toHaveLength(2);
    child.kill('SIGINT');
    expect(await exit).toBe(2);
    expect(output()).toContain('sluice: the drill was interrupted, and has no verdict');
    expect(output()).not.toMatch(/PASSED|FAILED/);
    await expectNothingLeft('kafka-slow');
  });

  it('killed with kill -9, does not leave its gateway running, and the next drill removes its topics and files', async () => {
    const { child, exit } = drill(...SMALL, '--scenario', 'kafka-slow');
    await until(() => gatewaysLeft().length === 1, { timeoutMs: 30_000, what: 'the gateway under test' });
    child.kill('SIGKILL');
    await exit;
    await until(() => gatewaysLeft().length === 0, { timeoutMs: 30_000, what: 'the end of the gateway' });
    expect(await scratchTopics('kafka-slow')).toHaveLength(2);

    const next = drill(...SMALL, '--scenario', 'kafka-slow');
    await until(() => next.output().includes('kafka-slow: '), { timeoutMs: 30_000, what: 'the next drill' });
    expect(next.output()).toMatch(/a drill that was killed \(.*\): removed topic sluice-drill-kafka-slow-/);
    next.child.kill('SIGINT');
    expect(await next.exit).toBe(2);
    await expectNothingLeft('kafka-slow');
  });

  it('refuses a report that could not be written, before anything is made', async () => {
    const { exit, output } = drill(...SMALL, '--report', join(folder, 'nowhere/report.html'));
    expect(await exit).toBe(2);
    expect(output()).toMatch(/^sluice: the report can't be written into .*nowhere/m);
  });

  it('without a Kafka says which one does not answer, and exits with 2', async () => {
    await writeFile(
      join(folder, 'sluice.yaml'),
      `kafka: { bootstrap.servers: 127.0.0.1:1 }\nprofiles: ${join(root, 'devices')}\n`,
    );
    const { exit, output } = drill(...SMALL);
    expect(await exit).toBe(2);
    expect(output()).toMatch(/^sluice: no Kafka answers at 127\.0\.0\.1:1/m);
  });
});
