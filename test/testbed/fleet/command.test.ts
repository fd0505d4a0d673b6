import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fleetCommand } from '../../../src/testbed/fleet/command.ts';
import { ScriptedBroker } from './scripted-broker.ts';
import { until } from '../../support/until.ts';

const root = resolve(import.meta.dirname, '../../..');
let broker: ScriptedBroker;
const children: ChildProcess[] = [];

beforeEach(async () => {
  broker = await ScriptedBroker.start();
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await broker.stop();
});

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...args: string[]): { child: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'fleet', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const finished = new Promise<Finished>((done) => {
    child.once('close', (code) => {
      done({ code, stdout, stderr });
    });
  });
  return { child, finished };
}

const run = (...args: string[]): Promise<Finished> => start('--url', broker.url, ...args).finished;

describe('sluice fleet', () => {
  it('publishes the shipped device types, sums up, and exits 0', async () => {
    const { code, stdout, stderr } = await run('--devices', '9', '--count', '90', '--rate', 'max');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Sent {10}90 messages by 9 devices in .* s, [\d,]+\/s\nAcknowledged {2}90, all of them/,
    );
    const topics = broker.connections.flatMap(({ publishes }) => publishes.map(({ topic }) => topic));
    // An edge node's births and its word of farewell are no readings.
    const readings = topics.filter((topic) => !/\/[ND](BIRTH|DEATH)\//.test(topic));
    expect(readings).toHaveLength(90);
    expect(broker.connections).toHaveLength(9);
    expect(broker.connections.every(({ publishes }) => publishes.length > 0)).toBe(true);
    expect(broker.connections.every(({ disconnected }) => disconnected)).toBe(true);
  });

  it('publishes the same again for the same seed, apart from the time of day', async () => {
    const args = [
      '--devices',
      '2',
      '--count',
      '4',
      '--rate',
      'max',
      '--profile',
      'env-sensor',
      '--seed',
      '7',
    ];
    const topics = (): string[] =>
      broker.connections.flatMap((each) => each.publishes.map(({ topic }) => topic));
    await run(...args);
    const first = topics();
    broker.connections.length = 0;
    await run(...args);
    expect(topics().sort()).toEqual(first.sort());
  });

  it('gives machines a JSON summary and nothing else on standard output', async () => {
    const { code, stdout } = await run(
      '--devices',
      '2',
      '--count',
      '10',
      '--rate',
      'max',
      '--json',
      '--qos',
      '0',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ sent: 10, qos: 0, devices: 2, complete: true });
  });

  it('ends with its summary at Ctrl-C, and exits 0 when all it sent is acknowledged', async () => {
    const { child, finished } = start('--url', broker.url, '--devices', '2', '--rate', '100');
    await until(() => broker.payloads().length >= 10, { what: 'ten messages', everyMs: 10 });
    child.kill('SIGINT');
    const { code, stdout } = await finished;
    expect(code).toBe(0);
    expect(stdout).toContain('all of them (QoS 1)');
    expect(broker.connections.every(({ disconnected }) => disconnected)).toBe(true);
  });

  it('exits 1 when something it sent was not acknowledged', async () => {
    broker.acknowledges = false;
    const { code, stdout } = await run('--devices', '1', '--count', '20', '--rate', 'max', '--wait', '50ms');
    expect(stdout).toContain('Acknowledged  0, 20 are missing (QoS 1)');
    expect(code).toBe(1);
  });

  it('exits 1 when the gateway refuses its devices, and says why', async () => {
    broker.connack = 5;
    const { code, stdout } = await run('--devices', '2', '--rate', 'max');
    expect(code).toBe(1);
    expect(stdout).toContain('Refused       2 devices: Connection refused: Not authorized');
  });

  it.each([
    [['--devices', '0'], /--devices.*at least 1/s],
    [['--rate', 'fast'], /--rate.*messages a second, or max/s],
    [['--qos', '3'], /--qos.*Allowed choices are 0, 1, 2/s],
    [['--duration', 'soon'], /--duration.*such as 30s/s],
    [['--profile', 'fridge'], /no device profile has the type fridge; there are: /],
    [['--config', 'nowhere.yaml'], /nowhere\.yaml/],
  ])('refuses %j and says what it expects', async (args, message) => {
    const command = fleetCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    await expect(command.parseAsync(['--url', broker.url, ...args], { from: 'user' })).rejects.toThrow(
      message,
    );
    expect(broker.connections).toHaveLength(0);
  });
});
