import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  KAFKA_VERSION,
  ensureKafkaJars,
  jarCacheFolder,
  runProgram,
} from '../../src/testbed/local-kafka/jars.ts';

/** The release of the brokers that tests run against: TEST_KAFKA, or the local Kafka's own. */
export function brokerRelease(): string {
  const { TEST_KAFKA: wanted = '' } = process.env;
  return wanted === '' ? KAFKA_VERSION : wanted;
}

/** Whether that release is `major.minor` or newer. */
function isAtLeast(major: number, minor: number): boolean {
  const [itsMajor = 0, itsMinor = 0] = brokerRelease().split('.').map(Number);
  return itsMajor > major || (itsMajor === major && itsMinor >= minor);
}

/** Whether brokers keep users of SCRAM: without ZooKeeper since Kafka 3.5 (KIP-900). */
export function keepsScramUsers(): boolean {
  return isAtLeast(3, 5);
}

/** The topic's setting for how far ahead of the broker's clock a record may be: renamed in Kafka 3.6 (KIP-937). */
export function futureLimitSetting(): string {
  return isAtLeast(3, 6) ? 'message.timestamp.after.max.ms' : 'message.timestamp.difference.max.ms';
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
