import kafkajs from 'kafkajs';
import type { Message } from 'kafkajs';

/** Sends a few records with kafkajs, one after the other: what a test needs to be in a topic. */
export async function produce(bootstrapServers: string, topic: string, messages: Message[]): Promise<void> {
  const producer = new kafkajs.Kafka({
    brokers: bootstrapServers.split(','),
    clientId: 'test',
    logLevel: kafkajs.logLevel.NOTHING,
  }).producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    await producer.send({ topic, messages });
  } finally {
    await producer.disconnect();
  }
}
