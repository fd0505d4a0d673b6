/** sluice/producer as an application uses it: `send` with a callback, a record object each. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Producer } from '../../src/producer/index.ts';
import { contest } from './contestant.ts';

await contest(async ({ bootstrapServers, topic, lingerMs, batchBytes }) => {
  const producer = new Producer({
    'bootstrap.servers': bootstrapServers,
    'linger.ms': lingerMs,
    'batch.size': batchBytes,
    'compression.type': 'lz4',
  });
  return Promise.resolve({
    async send(from, count, source) {
      let errors = 0;
      const done = (error: Error | undefined): void => {
        if (error !== undefined) errors++;
      };
      for (let i = from; i < from + count; i++) {
        producer.send({ topic, key: source.key(i), value: source.value(i) }, done);
        if (producer.isBlocked) await producer.unblocked();
        else if (i % 1_000 === 0) await nextTurn();
      }
      await producer.flush();
      return errors;
    },
    close: () => producer.close(),
  });
});
