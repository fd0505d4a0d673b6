import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { ensureKafkaJars, jarCacheFolder, KAFKA_VERSION } from '../../src/kafka/local/jars.ts';
import { runProgram } from '../../src/kafka/local/java.ts';

/** The release of the brokers that tests run against: SLUICE_TEST_KAFKA, or the local Kafka's own. */
export function brokerRelease(): string {
  const { SLUICE_TEST_KAFKA: wanted = '' } = process.env;
  return wanted === '' ? KAFKA_VERSION : wanted;
}

/** The topic's setting for how far ahead of the broker's clock a record may be: renamed in Kafka 3.6 (KIP-937). */
export function futureLimitSetting(): string {
  const [major = 0, minor = 0] = brokerRelease().split('.').map(Number);
  const isOld = major < 3 || (major === 3 && minor < 6);
  return isOld ? 'message.timestamp.difference.max.ms' : 'message.timestamp.after.max.ms';
}

/** The folder with the jars of that release's broker, from Maven Central through mvn if they aren't there. */
export async function brokerJars(): Promise<string> {
  const release = brokerRelease();
  if (release === KAFKA_VERSION) return ensureKafkaJars(() => {});
  const cache = dirname(jarCacheFolder());
  const folder = join(cache, `kafka-${release}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const download = await mkdtemp(`${folder}.download-`);
  try {
    const { status, stdout, stderr } = await runProgram('mvn', [
      '-B',
      '-q',
      'dependency:copy-dependencies',
      `-Dkafka.version=${release}`,
      `-DoutputDirectory=${download}`,
      '-DincludeScope=runtime',
      '-f',
      join(import.meta.dirname, 'older-kafka.xml'),
    ]);
    if (status !== 0) throw new Error(`mvn could not fetch Kafka ${release}:\n${stdout}\n${stderr}`);
    await rename(download, folder);
  } catch (error) {
    await rm(download, { recursive: true, force: true });
    // Another process was faster, and its folder is as good as ours.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
