/** Fills the cache of Kafka's jars before the tests need it, so that one can see what takes so long. */
import { errorMessage } from '../src/core/errors.ts';
import { ensureKafkaJars } from '../src/testbed/local-kafka/jars.ts';
import { findJava } from '../src/testbed/local-kafka/java.ts';

try {
  await findJava();
  await ensureKafkaJars((line) => {
    console.log(`  ${line}`);
  });
} catch (error) {
  console.error(errorMessage(error));
  process.exitCode = 1;
}
