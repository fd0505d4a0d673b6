/** sluice/producer as an application uses it: `send` with a callback, a record object each. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Producer } from '../../src/producer/index.ts';
import { contest, RECORDS_A_LOOK } from './contestant.ts';

await contest(async ({ bootstrapServers, topic, lingerMs, batchBytes }) => {
  const producer = new Producer({
    'bootstrap.servers': bootstrapServers,
    'linger.ms': lingerMs,
    'batch.size': batchBytes,
    'compression.type': 'lz4',
  });
  return Promise.resolve({
    async send(from, goesOn, source) {
      let errors = 0;
      const done = (error: Error | undefined): void => {
        if (error !== undefined) errors++;
      };
      let i = from;
      for (; i % RECORDS_A_LOOK !== 0 || goesOn(); i++) {
        producer.send({ topic, key: source.key(i), value: source.value(i) }, done);
        if (producer.isBlocked) await producer.unblocked();
        else if (i % RECORDS_A_LOOK === 0) await nextTurn();
      }
      await producer.flush();
      return { next: i, errors };
    },
    close: () => producer.close(),
  });
});
