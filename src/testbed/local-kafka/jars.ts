import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { LocalKafkaError, OTHER_WAYS } from './errors.ts';
import { runProgram } from './java.ts';

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
  const run = await runProgram(
    'mvn',
    [
      '-B',
      '-Dstyle.color=never',
      'dependency:copy-dependencies',
      `-DoutputDirectory=${target}`,
      '-DincludeScope=runtime',
      '-f',
      POM,
    ],
    {
      environment,
      onOutput(text) {
        const jars = text.match(/Downloaded from \S+ \S+\.jar/g)?.length ?? 0;
        if (jars === 0) return;
        downloaded += jars;
        const percent = Math.floor((downloaded / EXPECTED_DOWNLOADS) * 5) * 20;
        if (percent <= told || percent >= 100) return;
        told = percent;
        onProgress(`Kafka ${KAFKA_VERSION} from Maven Central: ${percent} %`);
      },
    },
  ).catch((error: unknown) => {
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
