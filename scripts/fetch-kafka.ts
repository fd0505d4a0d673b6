/** Fills the cache of Kafka's jars before the tests need it, so that one can see what takes so long. */
import { errorMessage } from '../src/core/errors.ts';
import { ensureKafkaJars } from '../src/kafka/local/jars.ts';
import { findJava } from '../src/kafka/local/java.ts';

try {
  await findJava();
  await ensureKafkaJars((line) => {
    console.log(`  ${line}`);
  });
} catch (error) {
  console.error(errorMessage(error));
  process.exitCode = 1;
}
