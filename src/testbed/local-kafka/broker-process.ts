import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pause, type Clock } from '../../core/clock.ts';
import type { BrokerFolder } from './broker-files.ts';
import { LocalKafkaError, OTHER_WAYS, startFailed } from './errors.ts';
import { classpath, type OnProgress } from './jars.ts';
import { identify, isRunning, signal, type ProcessIdentity } from './process-identity.ts';
import type { ProcessRecord, WatcherEvent, WatcherTask } from './watcher.ts';

/** How a broker's process ended. */
export interface BrokerEnd {
  readonly status: number | null;
  readonly signal: string | null;
  /** The watcher itself was killed: Kafka may still be running, with nobody to end it. */
  readonly watcherLost: boolean;
}

/** A Kafka process and its watcher (watcher.ts). */
export interface BrokerProcess {
  readonly kafka: ProcessIdentity;
  readonly watcherPid: number;
  /** Resolves once Kafka is gone, or its watcher. Never rejects. */
  readonly ended: Promise<BrokerEnd>;
  /** Has Kafka close its logs and end, by force after the grace time. */
  end(): Promise<BrokerEnd>;
}

/** A clean end takes about a second; a laptop or a Raspberry Pi under load, several. */
export const GRACE_MS = 15_000;

/**
 * Kafka's heap: half of it is enough for a demo, and everything beyond stays free for the page cache, where
 * Kafka's data really lives. Without memory it should die, and be restarted, rather than crawl.
 */
const BROKER_JVM = ['-Xmx320m', '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'];

/**
 * Starts a broker under a watcher. Resolves when its process runs, which is some seconds before it answers.
 * @throws LocalKafkaError KAFKA_START_FAILED
 */
export function startBroker(
  java: string,
  jarFolder: string,
  folder: BrokerFolder,
  port: number,
): Promise<BrokerProcess> {
  const logging = `-Dlog4j2.configurationFile=${folder.log4j}`;
  const args = [...BROKER_JVM, logging, '-cp', classpath(jarFolder), 'kafka.Kafka', folder.properties];
  return watched(folder, port, { command: java, args, consoleLog: folder.consoleLog });
}

/** Puts a broker that runs already, without a watcher, under a new one. */
export function adoptBroker(
  folder: BrokerFolder,
  port: number,
  kafka: ProcessIdentity,
): Promise<BrokerProcess> {
  return watched(folder, port, { adopt: kafka });
}

async function watched(
  folder: BrokerFolder,
  port: number,
  kafka: WatcherTask['kafka'],
): Promise<BrokerProcess> {
  const owner = identify(process.pid);
  if (owner === undefined) throw unsupportedPlatform();
  const task: WatcherTask = { owner, kafka, graceMs: GRACE_MS, record: { file: folder.processes, port } };
  const program = fileURLToPath(new URL(`watcher${extname(import.meta.url)}`, import.meta.url));
  const watcher = spawn(process.execPath, [program, JSON.stringify(task)], {
    // A session of its own (setsid): see watcher.ts.
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: watcherEnvironment(),
  });
  let gone: BrokerEnd = { status: null, signal: null, watcherLost: true };
  // 'close', not 'exit': by then everything that the watcher said has been read.
  const ended = once(watcher, 'close').then(() => gone);
  watcher.stdin.on('error', () => {});

  const started = await new Promise<ProcessIdentity>((resolve, reject) => {
    const fail = (reason: string): void =>
      reject(startFailed(`could not be started: ${reason}`, folder.serverLog));
    watcher.once('error', (error) => fail(error.message));
    void ended.then(() => fail('its watcher ended'));
    createInterface({ input: watcher.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as WatcherEvent;
      if (event.event === 'watching') resolve(event.kafka);
      else if (event.event === 'failed') fail(event.reason);
      else gone = { status: event.status, signal: event.signal, watcherLost: false };
    });
  });
  return {
    kafka: started,
    watcherPid: watcher.pid ?? -1,
    ended,
    end() {
      watcher.stdin.end();
      return ended;
    },
  };
}

function unsupportedPlatform(): LocalKafkaError {
  return new LocalKafkaError(
    'KAFKA_PLATFORM_UNSUPPORTED',
    `The local Kafka runs on Linux and macOS, and its watcher can't identify processes here`,
    `Use Linux or macOS, ${OTHER_WAYS}`,
  );
}

/** The watcher is a few lines of Node; what its owner is run with (inspectors, loaders) is not for it. */
function watcherEnvironment(): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  delete environment.NODE_OPTIONS;
  return environment;
}

/**
 * What Kafka said last, for an error message: its log from the last error on, or else the end of it; the
 * console's where there is no log, since the JVM itself failed.
 */
export function lastWords(folder: BrokerFolder, most = 10): string {
  for (const file of [folder.serverLog, folder.consoleLog]) {
    const lines = tail(file, 64 * 1024)
      .trim()
      .split('\n')
      .filter((line) => !/^\s+(at |\.\.\. \d+ more)/.test(line));
    const error = lines.findLastIndex((line) => /\b(ERROR|FATAL)\b/.test(line));
    const words = error < 0 ? lines.slice(-most) : lines.slice(error, error + most);
    if (words.some((line) => line !== '')) return words.join('\n');
  }
  return '(nothing)';
}

function tail(file: string, bytes: number): string {
  try {
    const descriptor = openSync(file, 'r');
    try {
      const { size } = fstatSync(descriptor);
      const buffer = Buffer.alloc(Math.min(bytes, size));
      readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8');
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return '';
  }
}

/**
 * Settles what is left of an earlier start on the same data folder, by the note that its watcher wrote, in
 * which every process is told by pid and start time. Of four cases:
 * - nothing runs any more: nothing to do;
 * - the owner lives: the folder is in use;
 * - the owner is gone and its watcher lives: Kafka is being ended, so this waits until it is gone. Taking over
 *   a Kafka that has had its SIGTERM would only postpone its end;
 * - Kafka alone lives, since its watcher was killed too: it is healthy, and returned to be adopted. If it is
 *   on another port than is wanted now, it is ended instead.
 * @throws LocalKafkaError KAFKA_DATA_FOLDER_IN_USE
 */
export async function settlePredecessor(
  folder: BrokerFolder,
  port: number,
  clock: Clock,
  onProgress: OnProgress,
  stopping: AbortSignal,
): Promise<ProcessIdentity | undefined> {
  const record = await readRecord(folder);
  if (record === undefined || !isRunning(record.kafka)) return undefined;
  const { kafka, owner, watcher } = record;
  // This process itself is the owner when its own watcher was killed and Kafka has to be adopted anew.
  const isOurs = owner.pid === process.pid;
  if (isRunning(watcher) ? isRunning(owner) : isRunning(owner) && !isOurs) {
    throw new LocalKafkaError(
      'KAFKA_DATA_FOLDER_IN_USE',
      `Another Sluice (pid ${owner.pid}) runs the local Kafka of ${folder.path}, on 127.0.0.1:${record.port}`,
      `Stop that one, give this one a data folder and a port of its own (kafka.local), ` +
        `or share its Kafka (kafka.bootstrap.servers: 127.0.0.1:${record.port})`,
    );
  }
  if (isRunning(watcher)) {
    onProgress('the Kafka of the last run is still closing its logs ...');
    await untilGone(kafka, clock, stopping, GRACE_MS + 10_000);
  } else if (record.port === port) {
    return kafka;
  } else {
    onProgress(`ending the Kafka of the last run, which is on port ${record.port} ...`);
    signal(kafka, 'SIGTERM');
    await untilGone(kafka, clock, stopping, GRACE_MS);
  }
  signal(kafka, 'SIGKILL');
  await untilGone(kafka, clock, stopping, GRACE_MS);
  return undefined;
}

async function readRecord(folder: BrokerFolder): Promise<ProcessRecord | undefined> {
  try {
    return JSON.parse(await readFile(folder.processes, 'utf8')) as ProcessRecord;
  } catch {
    // None, or one of a version that wrote another format: then Kafka's own lock on its folder must do.
    return undefined;
  }
}

async function untilGone(
  kafka: ProcessIdentity,
  clock: Clock,
  stopping: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const deadline = clock.monotonicMs() + timeoutMs;
  while (isRunning(kafka) && clock.monotonicMs() < deadline && !stopping.aborted) {
    await pause(clock, 100, stopping);
  }
}
