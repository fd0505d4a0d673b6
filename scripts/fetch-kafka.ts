import { errorMessage } from '../src/core/errors.ts';
import { ensureKafkaJars, findJava } from '../src/testbed/local-kafka/jars.ts';

/** Fills the cache of Kafka's jars before the tests need it, so that one can see what takes so long. */

try {
  await findJava();
  await ensureKafkaJars((line) => {
    console.log(`  ${line}`);
  });
} catch (error) {
  console.error(errorMessage(error));
  process.exitCode = 1;
}
