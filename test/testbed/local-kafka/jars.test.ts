import { chmod, mkdtemp, readdir, readFile, rm, utimes, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { ensureKafkaJars, jarCacheFolder, KAFKA_VERSION } from '../../../src/testbed/local-kafka/jars.ts';

let root: string;
let folder: string;
let progress: string[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-jars-'));
  folder = join(root, 'cache', 'kafka');
  progress = [];
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

/** Puts an `mvn` of our own at the front of the path; `$target` is where the jars should go. */
async function withMaven(script: string): Promise<NodeJS.ProcessEnv> {
  const bin = join(root, 'bin');
  await mkdir(bin, { recursive: true });
  const find = `for a in "$@"; do case "$a" in -DoutputDirectory=*) target="\${a#*=}";; esac; done`;
  await writeFile(join(bin, 'mvn'), `#!/bin/sh\n${find}\n${script}\n`);
  await chmod(join(bin, 'mvn'), 0o755);
  return { PATH: `${bin}:/usr/bin:/bin` };
}

const GOOD = `echo run >> $(dirname "$0")/runs; touch "$target/kafka_2.13-${KAFKA_VERSION}.jar"`;

function ensure(environment: NodeJS.ProcessEnv): Promise<string> {
  return ensureKafkaJars((line) => progress.push(line), environment, folder);
}

test('jars are fetched once, with progress, and found the next time', async () => {
  const environment = await withMaven(GOOD);
  expect(await ensure(environment)).toBe(folder);
  expect(await readdir(folder)).toEqual([`kafka_2.13-${KAFKA_VERSION}.jar`]);
  expect(progress[0]).toContain('from Maven Central');
  progress = [];
  await ensure(environment);
  expect(progress).toEqual([]);
  expect(await readFile(join(root, 'bin', 'runs'), 'utf8')).toBe('run\n');
});

test('two processes may fetch them at once', async () => {
  const environment = await withMaven(GOOD);
  await Promise.all([ensure(environment), ensure(environment)]);
  expect(await readdir(join(root, 'cache'))).toEqual(['kafka']);
});

test('a failed download leaves nothing behind, names the cause and the ways out', async () => {
  const environment = await withMaven(
    `touch "$target/half.jar"; echo "[ERROR] Could not transfer artifact: Connection refused"; exit 1`,
  );
  await expect(ensure(environment)).rejects.toMatchObject({
    code: 'KAFKA_DOWNLOAD_FAILED',
    message: expect.stringMatching(
      /Connection refused.*kafka\.bootstrap\.servers.*docker compose up/,
    ) as string,
  });
  expect(await readdir(join(root, 'cache'))).toEqual([]);
});

test('what another download left behind when it was killed is cleared away, once it is old', async () => {
  const abandoned = join(root, 'cache', 'kafka.download-abcdef');
  const busy = join(root, 'cache', 'kafka.download-ghijkl');
  await mkdir(abandoned, { recursive: true });
  await mkdir(busy);
  await utimes(abandoned, 0, 0);
  await ensure(await withMaven(GOOD));
  expect((await readdir(join(root, 'cache'))).sort()).toEqual(['kafka', 'kafka.download-ghijkl']);
});

test('a machine without Maven is told what to do', async () => {
  await expect(ensure({ PATH: join(root, 'nothing') })).rejects.toMatchObject({
    code: 'KAFKA_MAVEN_MISSING',
    message: expect.stringMatching(/Install Maven.*kafka\.bootstrap\.servers/) as string,
  });
});

test('a clone keeps its jars beside its package.json', () => {
  expect(jarCacheFolder({})).toBe(join(import.meta.dirname, '../../../.cache', `kafka-${KAFKA_VERSION}`));
});

test('the version that is named is the one that pom.xml fetches', async () => {
  const pom = await readFile(join(import.meta.dirname, '../../../src/testbed/local-kafka/pom.xml'), 'utf8');
  expect(pom.split(`<version>${KAFKA_VERSION}</version>`)).toHaveLength(3);
});
