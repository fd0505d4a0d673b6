// Runs the gateway as a stranger would, with its local Kafka, and checks what can be seen from outside.
//   node smoke.mjs start      npm start in this clone
//   node smoke.mjs package    npm pack, installed into an empty folder
// Ports and folders are its own, so that it runs beside anything.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), 'sluice-smoke-'));
try {
  if (process.argv[2] === 'start') await start();
  else if (process.argv[2] === 'package') await install();
  else throw new Error('what is to be run: start or package?');
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function start() {
  await runAndStop('npm', ['start'], { cwd: root });
}

async function install() {
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: root,
    encoding: 'utf8',
  });
  const elsewhere = join(folder, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'package.json'), '{ "private": true }');
  // The package says which Node it needs; here that is the clone's own.
  const env = { PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter) };
  const tarball = join(folder, packed.trim().split('\n').at(-1));
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--silent', tarball], {
    cwd: elsewhere,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  });
  const command = join(elsewhere, 'node_modules', '.bin', 'sluice');
  execFileSync(command, ['check'], { cwd: elsewhere, env: { ...process.env, ...env }, stdio: 'inherit' });
  // Its jars go into a user's cache folder, so the first start of a package is tested too.
  const cache = { XDG_CACHE_HOME: join(folder, 'cache') };
  await runAndStop(command, ['run', '--demo'], { cwd: elsewhere, env: { ...env, ...cache } });
}

/** Starts a gateway, waits until telemetry flows, ends it as Ctrl-C would, and looks for what it left behind. */
async function runAndStop(command, args, { cwd, env = {} }) {
  const [mqttPort, adminPort, kafkaPort] = await freePorts(3);
  const data = join(folder, 'kafka');
  const child = spawn(command, args, {
    cwd,
    env: {
      ...process.env,
      ...env,
      SLUICE_MQTT__LISTENERS__0__PORT: String(mqttPort),
      SLUICE_ADMIN__PORT: String(adminPort),
      SLUICE_KAFKA__LOCAL__PORT: String(kafkaPort),
      SLUICE_KAFKA__LOCAL__DATA: data,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own, to send Ctrl-C to.
    detached: true,
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
    process.stdout.write(text);
  });
  const ended = new Promise((resolve) => child.on('exit', (status, signal) => resolve(signal ?? status)));
  let alive = true;
  void ended.then(() => (alive = false));

  try {
    await until('the banner', () => {
      if (!alive) throw new Error('it ended before it was ready');
      return output.includes('is running') && output.includes(`:${mqttPort}`);
    });
    await until('readiness', async () => (await get(`http://127.0.0.1:${adminPort}/readyz`)).status === 200);
    await until('telemetry in Kafka', async () => {
      const { text } = await get(`http://127.0.0.1:${adminPort}/metrics`);
      return total(text, 'sluice_deliveries_acknowledged_total') >= 20;
    });
    const { kafka, watcher } = JSON.parse(readFileSync(join(data, 'processes.json'), 'utf8'));

    // What a terminal does: everybody in the foreground hears it, and npm tells its child once more.
    process.kill(-child.pid, 'SIGINT');
    const how = await ended;
    if (how !== 0) throw new Error(`it ended with ${how} after Ctrl-C, not with 0`);
    for (const { pid } of [kafka, watcher]) {
      if (isAlive(pid)) throw new Error(`process ${pid} of the local Kafka was left behind`);
    }
    for (const port of [mqttPort, adminPort, kafkaPort]) {
      if (!(await isFree(port))) throw new Error(`port ${port} was left open`);
    }
    if (existsSync(join(data, 'processes.json'))) throw new Error('processes.json was left behind');
  } finally {
    if (alive) {
      child.kill('SIGTERM');
      await ended;
    }
  }
}

/** The sum of a metric over its labels; 0 while it has no samples. */
function total(text, name) {
  let sum = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) sum += Number(line.split(' ').at(-1));
  }
  return sum;
}

async function get(url) {
  try {
    const response = await fetch(url);
    return { status: response.status, text: await response.text() };
  } catch {
    return { status: 0, text: '' };
  }
}

async function until(what, condition, timeoutMs = 240_000) {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Below the range of outgoing connections, see src/testbed/local-kafka/ports.ts. */
async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
