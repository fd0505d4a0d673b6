/**
 * Runs the tests without faults against Kafka of several releases: the local Kafka's own, the last one of Kafka 3,
 * and the oldest with KRaft that Java 17 runs. Their jars come from Maven Central.
 *
 *   npm run test:kafkas [release ...]
 */
import { spawnSync } from 'node:child_process';
import { KAFKA_VERSION } from '../src/testbed/local-kafka/jars.ts';

const arguments_ = process.argv.slice(2);
const releases = arguments_.length > 0 ? arguments_ : [KAFKA_VERSION, '3.9.1', '3.3.2'];

const failed = releases.filter((release) => {
  console.log(`\nKafka ${release}`);
  const { status } = spawnSync('vitest', ['run', '--project', 'integration'], {
    stdio: 'inherit',
    env: { ...process.env, TEST_KAFKA: release },
  });
  return status !== 0;
});
console.log(
  failed.length === 0 ? `\nKafka ${releases.join(', ')}: all well` : `\nnot well: ${failed.join(', ')}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
