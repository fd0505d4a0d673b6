/** The producer of @platformatic/kafka: no accumulator either; a thousand messages a `send`, one send at a time. */
import { CompressionAlgorithms, Producer } from '@platformatic/kafka';
import { contest, RECORDS_A_LOOK } from './contestant.ts';

await contest(async ({ bootstrapServers, topic }) => {
  const producer = new Producer({
    clientId: 'bench',
    bootstrapBrokers: bootstrapServers.split(','),
    idempotent: true,
    acks: -1,
    compression: CompressionAlgorithms.LZ4,
  });
  return Promise.resolve({
    async send(from, goesOn, source) {
      let errors = 0;
      let next = from;
      while (goesOn()) {
        const messages: { topic: string; key: Buffer; value: Buffer }[] = [];
        for (; messages.length < RECORDS_A_LOOK; next++) {
          messages.push({ topic, key: source.key(next), value: source.value(next) });
        }
        await producer.send({ messages }).catch(() => (errors += messages.length));
      }
      return { next, errors };
    },
    close: () => producer.close(),
  });
});
