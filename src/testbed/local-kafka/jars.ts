import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LocalKafkaError, OTHER_WAYS } from './errors.ts';

/** The version in pom.xml beside this file. */
export const KAFKA_VERSION = '4.3.1';

/** Some 90 jars of Kafka and a few more for mvn's own plugin; for the progress line alone. */
const EXPECTED_DOWNLOADS = 140;

const HERE = dirname(fileURLToPath(import.meta.url));
const POM = join(HERE, 'pom.xml');

/** Told of each step of a start, in one short line. */
export type OnProgress = (line: string) => void;

/**
 * The folder of Kafka's jars: in a clone `.cache/` beside package.json, which git ignores; for an installed
 * package, whose folder may be read-only and goes with the next update, the user's own cache folder.
 */
export function jarCacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const name = `kafka-${KAFKA_VERSION}`;
  const isClone = import.meta.url.endsWith('.ts');
  if (isClone) return join(HERE, '..', '..', '..', '.cache', name);
  if (environment.XDG_CACHE_HOME) return join(environment.XDG_CACHE_HOME, 'sluice', name);
  const caches =
    process.platform === 'darwin' ? join(homedir(), 'Library', 'Caches') : join(homedir(), '.cache');
  return join(caches, 'sluice', name);
}

/**
 * Makes sure that Kafka's jars are there, from Maven Central through mvn if they aren't, and returns their
 * folder. The folder appears whole or not at all, so that two processes may do this at once and a download
 * that was cut off leaves nothing behind that looks like Kafka.
 * @throws LocalKafkaError KAFKA_MAVEN_MISSING, KAFKA_DOWNLOAD_FAILED
 */
export async function ensureKafkaJars(
  onProgress: OnProgress,
  environment: NodeJS.ProcessEnv = process.env,
  folder: string = jarCacheFolder(environment),
): Promise<string> {
  if (await exists(folder)) return folder;
  await mkdir(dirname(folder), { recursive: true });
  await removeAbandonedDownloads(folder);
  const download = await mkdtemp(downloadPrefix(folder));
  try {
    await copyDependencies(download, onProgress, environment);
    await rename(download, folder);
  } catch (error) {
    await rm(download, { recursive: true, force: true });
    // Another process was faster, and its folder is as good as ours.
    if (!(await exists(folder))) throw error;
  }
  return folder;
}

/** The classpath of everything in the folder, in Java's own notation. */
export function classpath(jarFolder: string): string {
  return join(jarFolder, '*');
}

async function copyDependencies(
  target: string,
  onProgress: OnProgress,
  environment: NodeJS.ProcessEnv,
): Promise<void> {
  let downloaded = 0;
  let told = 0;
  onProgress(`Kafka ${KAFKA_VERSION} from Maven Central (55 MB, once) ...`);
  const onOutput = (text: string): void => {
    downloaded += text.match(/Downloaded from \S+ \S+\.jar/g)?.length ?? 0;
    const percent = Math.floor((downloaded / EXPECTED_DOWNLOADS) * 5) * 20;
    if (percent <= told || percent >= 100) return;
    told = percent;
    onProgress(`Kafka ${KAFKA_VERSION} from Maven Central: ${percent} %`);
  };
  const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${target}`, '-DincludeScope=runtime'];
  const args = ['-B', '-Dstyle.color=never', ...copy, '-f', POM];
  const run = await runProgram('mvn', args, { environment, onOutput }).catch((error: unknown) => {
    throw new LocalKafkaError(
      'KAFKA_MAVEN_MISSING',
      `The local Kafka is fetched from Maven Central by mvn, and mvn can't be run`,
      `Install Maven (Debian: apt install maven; macOS: brew install maven), ${OTHER_WAYS}`,
      { cause: error },
    );
  });
  if (run.status !== 0 || !(await exists(join(target, `kafka_2.13-${KAFKA_VERSION}.jar`)))) {
    throw new LocalKafkaError(
      'KAFKA_DOWNLOAD_FAILED',
      `mvn could not fetch Kafka ${KAFKA_VERSION} (${firstError(run.stdout + run.stderr)})`,
      `Check the network (a proxy or a mirror belongs into ~/.m2/settings.xml) and try again, ${OTHER_WAYS}`,
    );
  }
  onProgress(`Kafka ${KAFKA_VERSION} is here`);
}

/** mvn names the cause in its first [ERROR] line; the rest is advice for people who build Java. */
function firstError(output: string): string {
  const line = output.split('\n').find((candidate) => candidate.startsWith('[ERROR]'));
  const text = (line ?? output.trim().split('\n').at(-1) ?? '').replace('[ERROR]', '').trim();
  return text.length > 400 ? `${text.slice(0, 400)} ...` : text;
}

function downloadPrefix(folder: string): string {
  return `${folder}.download-`;
}

/** Downloads that were cut off; one that another process is busy with is younger than this. */
const ABANDONED_AFTER_MS = 60 * 60_000;

async function removeAbandonedDownloads(folder: string): Promise<void> {
  const parent = dirname(folder);
  for (const name of await readdir(parent)) {
    const path = join(parent, name);
    if (!path.startsWith(downloadPrefix(folder))) continue;
    try {
      const { mtimeMs } = await stat(path);
      if (Date.now() - mtimeMs > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true });
    } catch {
      // Gone meanwhile, or not ours to remove: either way no reason to stop.
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Kafka 4's brokers need it (KIP-1013). */
const MINIMUM_JAVA = 17;

export interface ProgramRun {
  /** The exit status; null after a signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The Java that runs Kafka: JAVA_HOME's if that is set, the path's otherwise.
 * @throws LocalKafkaError KAFKA_JAVA_MISSING, KAFKA_JAVA_TOO_OLD
 */
export async function findJava(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const home = environment.JAVA_HOME;
  const java = home === undefined || home === '' ? 'java' : join(home, 'bin', 'java');
  const run = await runProgram(java, ['-version'], { environment }).catch((error: unknown) => {
    throw new LocalKafkaError(
      'KAFKA_JAVA_MISSING',
      `The local Kafka needs Java ${MINIMUM_JAVA} or newer, and ${java} can't be run`,
      `Install it (Debian: apt install openjdk-17-jre-headless; macOS: brew install openjdk), ${OTHER_WAYS}`,
      { cause: error },
    );
  });
  const version = javaMajorVersion(run.stderr + run.stdout);
  if (version === undefined || version < MINIMUM_JAVA) {
    throw new LocalKafkaError(
      'KAFKA_JAVA_TOO_OLD',
      `The local Kafka needs Java ${MINIMUM_JAVA} or newer, and ${java} is ` +
        (version === undefined ? `something else` : `version ${version}`),
      `Install a newer one and have JAVA_HOME or PATH lead to it, ${OTHER_WAYS}`,
    );
  }
  return java;
}

/** 17 from `openjdk version "17.0.15" 2025-04-15`, 8 from `java version "1.8.0_402"`. */
export function javaMajorVersion(banner: string): number | undefined {
  const found = /version "(?:1\.)?(\d+)/.exec(banner);
  return found === null ? undefined : Number(found[1]);
}

/** Runs a program to its end. Rejects if it can't be started, not for its exit status. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: { environment?: NodeJS.ProcessEnv; onOutput?: (text: string) => void; timeoutMs?: number } = {},
): Promise<ProgramRun> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: options.environment ?? process.env,
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: 'SIGKILL' }),
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
      options.onOutput?.(text);
    });
  }
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...said };
}
