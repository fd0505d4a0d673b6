/** sluice/producer as the bridge uses it: `tryAppend` of bytes, no object a record. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import { Producer } from '../../src/producer/index.ts';
import { contest, RECORDS_A_LOOK } from './contestant.ts';

await contest(async ({ bootstrapServers, topic, lingerMs, batchBytes }) => {
  const producer = new Producer({
    'bootstrap.servers': bootstrapServers,
    'linger.ms': lingerMs,
    'batch.size': batchBytes,
    'compression.type': 'lz4',
  });
  const record: SerializedRecord = { topic, key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
  return Promise.resolve({
    async send(from, goesOn, source) {
      let errors = 0;
      const target = {
        recordCompleted(_token: number, result: { readonly error: Error | undefined }): void {
          if (result.error !== undefined) errors++;
        },
      };
      let i = from;
      // Before the first record, and after each thousand, a look at the clock.
      while (i % RECORDS_A_LOOK !== 0 || goesOn()) {
        record.key = source.key(i);
        record.value = source.value(i);
        record.timestampMs = Date.now();
        const refusal = producer.tryAppend(record, target, i);
        if (refusal instanceof Error) throw refusal;
        if (refusal === undefined) {
          i++;
          if (i % RECORDS_A_LOOK === 0) await nextTurn();
        } else {
          await new Promise<void>((resolve) => {
            refusal.wait(resolve);
          });
        }
      }
      await producer.flush();
      return { next: i, errors };
    },
    close: () => producer.close(),
  });
});
