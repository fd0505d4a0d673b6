/** The producer of @platformatic/kafka: no accumulator either; a thousand messages a `send`, one send at a time. */
import { CompressionAlgorithms, Producer } from '@platformatic/kafka';
import { contest } from './contestant.ts';

const SEND_RECORDS = 1_000;

await contest(async ({ bootstrapServers, topic }) => {
  const producer = new Producer({
    clientId: 'bench',
    bootstrapBrokers: bootstrapServers.split(','),
    idempotent: true,
    acks: -1,
    compression: CompressionAlgorithms.LZ4,
  });
  return Promise.resolve({
    async send(from, count, source) {
      let errors = 0;
      for (let next = from; next < from + count;) {
        const messages: { topic: string; key: Buffer; value: Buffer }[] = [];
        for (; next < from + count && messages.length < SEND_RECORDS; next++) {
          messages.push({ topic, key: source.key(next), value: source.value(next) });
        }
        await producer.send({ messages }).catch(() => (errors += messages.length));
      }
      return errors;
    },
    close: () => producer.close(),
  });
});
