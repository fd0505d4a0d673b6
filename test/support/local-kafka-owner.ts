/**
 * A gateway reduced to its local Kafka, as a process that a test can kill: `node local-kafka-owner.ts <data
 * folder> <port>`. Tells `{ pid, adopted }` of its Kafka in one line, or `{ code, message }`; ends with stdin.
 * Like the gateway it does not die of Ctrl-C by itself.
 */
import { systemClock } from '../../src/core/clock.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { startLocalKafka } from '../../src/testbed/local-kafka/local-kafka.ts';

process.on('SIGINT', () => {});
const [dataDir = '', port = ''] = process.argv.slice(2);
try {
  const kafka = await startLocalKafka({
    dataDir,
    port: Number(port),
    logger: silentLogger,
    clock: systemClock,
    onProgress() {},
  });
  console.log(JSON.stringify({ pid: kafka.pid, adopted: kafka.adopted }));
  process.stdin.resume();
  process.stdin.on('end', () => void kafka.stop());
} catch (error) {
  if (!(error instanceof SluiceError)) throw error;
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}
