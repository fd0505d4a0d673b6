import type { TestProject } from 'vitest/node';
import { ensureKafkaJars, findJava } from '../../src/testbed/local-kafka/jars.ts';
import { startKafka } from './kafka.ts';

/** Vitest's global setup of the integration project: one broker for all of its files. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kafka = await startKafka();
  project.provide('sharedKafka', {
    java: await findJava(),
    jarFolder: await ensureKafkaJars(() => {}),
    bootstrapServers: kafka.bootstrapServers,
    dataDir: kafka.dataDir(),
  });
  return () => kafka.stop();
}
