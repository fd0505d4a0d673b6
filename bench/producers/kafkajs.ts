/**
 * kafkajs has no accumulator: an application gathers messages itself. Idempotent, it takes one `send` at a time; a
 * thousand messages each is what it does best with, since grouping them takes time that grows with their square.
 */
import kafkajs from 'kafkajs';
import type { Message } from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { contest, RECORDS_A_LOOK } from './contestant.ts';

const { CompressionCodecs, CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder: { buffer: Buffer }) => compressFrame(encoder.buffer),
  decompress: (compressed: Buffer) => decompressFrame(compressed),
});

await contest(async ({ bootstrapServers, topic }) => {
  const kafka = new Kafka({ brokers: bootstrapServers.split(','), logLevel: logLevel.ERROR });
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  return {
    async send(from, goesOn, source) {
      let errors = 0;
      let next = from;
      while (goesOn()) {
        const messages: Message[] = [];
        for (; messages.length < RECORDS_A_LOOK; next++) {
          messages.push({ key: source.key(next), value: source.value(next) });
        }
        await producer
          .send({ topic, messages, acks: -1, compression: CompressionTypes.LZ4 })
          .catch(() => (errors += messages.length));
      }
      return { next, errors };
    },
    close: () => producer.disconnect(),
  };
});
