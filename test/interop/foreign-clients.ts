import { execFileSync, spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';

/*
 * Clients that others wrote. Where one isn't installed it is fetched once, without root, into a folder that git
 * ignores; where it can't be, its tests are skipped, and say so.
 */

const CACHE = resolve(import.meta.dirname, '../../node_modules/.cache/sluice-interop');
const FETCH_TIMEOUT_MS = 20_000;

/** A program with the environment that it needs, or why there is none. */
export type ForeignClient =
  { readonly environment: NodeJS.ProcessEnv; readonly folder: string } | { readonly missing: string };

function attempt(command: string, args: readonly string[], cwd?: string): boolean {
  try {
    execFileSync(command, args, {
      stdio: 'ignore',
      timeout: FETCH_TIMEOUT_MS,
      ...(cwd === undefined ? {} : { cwd }),
    });
    return true;
  } catch {
    return false;
  }
}

/** Python with paho-mqtt. */
export function pahoMqtt(): ForeignClient {
  if (attempt('python3', ['-c', 'import paho.mqtt.client'])) return { environment: process.env, folder: '' };
  const folder = join(CACHE, 'python');
  const environment = { ...process.env, PYTHONPATH: folder };
  if (existsSync(join(folder, 'paho'))) return { environment, folder };
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '0'];
  return attempt('python3', [...pip, '--target', folder, 'paho-mqtt>=2,<3'])
    ? { environment, folder }
    : { missing: 'paho-mqtt is not here, and pip can’t fetch it' };
}

/** mosquitto_pub and mosquitto_sub. */
export function mosquittoClients(): ForeignClient {
  if (attempt('mosquitto_pub', ['--help'])) return { environment: process.env, folder: '' };
  const folder = join(CACHE, 'mosquitto');
  const programs = join(folder, 'usr/bin');
  if (!existsSync(join(programs, 'mosquitto_sub'))) {
    mkdirSync(folder, { recursive: true });
    const packages = ['mosquitto-clients', 'libmosquitto1', 'libcjson1'];
    if (!attempt('apt-get', ['download', ...packages], folder)) {
      return { missing: 'mosquitto-clients is not here, and apt-get can’t fetch it' };
    }
    const files = globSync('*.deb', { cwd: folder });
    if (!files.every((file) => attempt('dpkg-deb', ['-x', file, '.'], folder))) {
      return { missing: 'the package mosquitto-clients can’t be unpacked' };
    }
  }
  const [libraries = ''] = globSync('usr/lib/*/', { cwd: folder });
  return {
    folder: `${programs}/`,
    environment: { ...process.env, LD_LIBRARY_PATH: join(folder, libraries) },
  };
}

/** A running client: its output so far, and its end. */
export interface Running {
  output(): string;
  readonly ended: Promise<number | null>;
}

/** Starts a client; it is ended with the test, if not before. */
export function run(command: string, args: readonly string[], environment: NodeJS.ProcessEnv): Running {
  const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  child.stderr.on('data', (text: Buffer) => (output += text.toString()));
  const ended = new Promise<number | null>((resolveEnd, reject) => {
    child.once('close', resolveEnd);
    child.once('error', reject);
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { output: () => output, ended };
}
