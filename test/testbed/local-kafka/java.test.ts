import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { findJava, javaMajorVersion } from '../../../src/testbed/local-kafka/jars.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'sluice-java-'));
});

afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

async function withJava(banner: string): Promise<NodeJS.ProcessEnv> {
  await mkdir(join(home, 'bin'));
  await writeFile(join(home, 'bin', 'java'), `#!/bin/sh\necho '${banner}' >&2\n`);
  await chmod(join(home, 'bin', 'java'), 0o755);
  return { JAVA_HOME: home };
}

test.each([
  ['openjdk version "17.0.15" 2025-04-15', 17],
  ['java version "1.8.0_402"', 8],
  ['openjdk version "25-ea" 2025-09-16', 25],
  ['Unable to locate a Java Runtime.', undefined],
])('reads the version in: %s', (banner, version) => {
  expect(javaMajorVersion(banner)).toBe(version);
});

test('the Java of JAVA_HOME is taken if it is new enough', async () => {
  expect(await findJava(await withJava('openjdk version "21.0.2" 2024-01-16'))).toBe(
    join(home, 'bin', 'java'),
  );
});

test('a Java that is too old is named with its version and what to do', async () => {
  await expect(findJava(await withJava('openjdk version "11.0.2" 2019-01-15'))).rejects.toMatchObject({
    code: 'KAFKA_JAVA_TOO_OLD',
    message: expect.stringMatching(
      /needs Java 17.*version 11.*JAVA_HOME.*kafka\.bootstrap\.servers/,
    ) as string,
  });
});

test('a machine without Java is told what to do', async () => {
  await expect(findJava({ PATH: home })).rejects.toMatchObject({
    code: 'KAFKA_JAVA_MISSING',
    message: expect.stringMatching(/needs Java 17.*Install it.*docker compose up/) as string,
  });
});
