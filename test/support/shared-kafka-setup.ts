import type { TestProject } from 'vitest/node';

import { ensureKafkaJars } from '../../src/kafka/local/jars.ts';
import { findJava } from '../../src/kafka/local/java.ts';
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
