import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { findFreePorts } from '../../src/testbed/local-kafka/ports.ts';

let folder: string;
let gateway: ChildProcess;
let errors: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-bin-'));
  const [mqttPort, adminPort, kafkaPort] = await findFreePorts(3);
  await writeFile(
    join(folder, 'sluice.yaml'),
    `
mqtt: { listeners: [{ type: tcp, host: 127.0.0.1, port: ${mqttPort} }] }
admin: { host: 127.0.0.1, port: ${adminPort} }
kafka: { bootstrap.servers: '127.0.0.1:${kafkaPort}' } # nobody there: a gateway waits for its Kafka
profiles: ${JSON.stringify(join(import.meta.dirname, '../../devices'))}
shutdown.timeout.ms: 1000
`,
  );
  const program = join(import.meta.dirname, '../../bin/sluice.js');
  gateway = spawn(process.execPath, [program, 'run'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  errors = '';
  gateway.stderr!.setEncoding('utf8').on('data', (text: string) => (errors += text));
});

afterEach(async () => {
  gateway.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

test('SIGTERM ends sluice run with status 0', async () => {
  await once(gateway.stdout!, 'data');
  gateway.kill('SIGTERM');
  const [status] = (await once(gateway, 'exit')) as [number];
  expect(errors).not.toContain('    at ');
  expect(status).toBe(0);
});

test('a reader of its output that goes away ends sluice run in good order', async () => {
  gateway.stdout!.destroy();
  const [status] = (await once(gateway, 'exit')) as [number];
  expect(errors).not.toContain('    at ');
  expect(status).toBe(0);
});

test('a clone whose own Node is too old says so, and does not start itself for ever', async () => {
  const program = join(import.meta.dirname, '../../bin/sluice.js');
  const oldNode =
    'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.0.0"}})';
  const child = spawn(process.execPath, ['--import', oldNode, program, '--version'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [status] = (await once(child, 'close')) as [number];
  expect(said).toMatch(/^sluice: it needs Node\.js 24\.6 or newer/);
  expect(status).toBe(1);
});
