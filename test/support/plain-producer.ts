import kafkajs from 'kafkajs';
import type { Message, Producer } from 'kafkajs';

/** kafkajs's own producer, connected: somebody else who writes to a topic. To be disconnected by who asked. */
export async function foreignProducer(bootstrapServers: string): Promise<Producer> {
  const producer = new kafkajs.Kafka({
    brokers: bootstrapServers.split(','),
    clientId: 'test',
    logLevel: kafkajs.logLevel.NOTHING,
  }).producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  return producer;
}

/** Sends a few records with kafkajs, one after the other: what a test needs to be in a topic. */
export async function produce(bootstrapServers: string, topic: string, messages: Message[]): Promise<void> {
  const producer = await foreignProducer(bootstrapServers);
  try {
    await producer.send({ topic, messages });
  } finally {
    await producer.disconnect();
  }
}
