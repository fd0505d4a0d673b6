import { randomUUID } from 'node:crypto';
import { silentLogger } from '../../../src/core/logger.ts';
import { createAdmin, createConsumer } from '../../../src/kafka/clients/kafkajs.ts';

export interface EdgeVerdict {
  readonly records: number;
  /** Sent, acknowledged, and not in Kafka. */
  readonly lost: number;
  /** More than once in Kafka. */
  readonly repeated: number;
  /** Records that stand in front of one with a lower number that was not seen before. */
  readonly disordered: number;
}

/**
 * Reads topics from the beginning and compares them with what devices sent; every message was acknowledged. Records of
 * `unjudged` devices are passed over: nobody was owed an answer.
 */
export async function judgeEdge(
  bootstrapServers: string,
  topics: readonly string[],
  ledger: readonly (readonly [device: string, sent: number])[],
  unjudged: readonly string[] = [],
): Promise<EdgeVerdict> {
  const seen = new Map(ledger.map(([device, sent]) => [device, { bits: new Uint8Array(sent + 1), next: 1 }]));
  let records = 0;
  let repeated = 0;
  let disordered = 0;
  await readAll(bootstrapServers, topics, (value) => {
    const [device = '', number = ''] = value.toString('latin1', 0, 64).split(' ');
    if (unjudged.includes(device)) return;
    const one = seen.get(device);
    const sequence = Number(number);
    if (one === undefined || !(sequence > 0 && sequence < one.bits.length)) {
      throw new Error(`nobody sent ${device} ${number}`);
    }
    records++;
    if (one.bits[sequence] === 1) {
      repeated++;
      return;
    }
    one.bits[sequence] = 1;
    if (sequence > one.next) disordered++;
    while (one.bits[one.next] === 1) one.next++;
  });
  let lost = 0;
  for (const { bits } of seen.values()) for (let n = 1; n < bits.length; n++) if (bits[n] === 0) lost++;
  return { records, lost, repeated, disordered };
}

async function readAll(
  bootstrapServers: string,
  topics: readonly string[],
  onValue: (value: Buffer) => void,
): Promise<void> {
  const client = { bootstrapServers: bootstrapServers.split(','), clientId: 'judge', logger: silentLogger };
  const admin = createAdmin({ ...client, retries: 20 });
  await admin.connect();
  const pending = new Map<string, number>();
  for (const topic of topics) {
    for (const { partition, high } of await admin.fetchTopicOffsets(topic)) {
      if (Number(high) > 0) pending.set(`${topic}/${partition}`, Number(high));
    }
  }
  await admin.disconnect();
  if (pending.size === 0) return;
  const consumer = createConsumer({ ...client, retries: 20 }, { groupId: `judge-${randomUUID()}` });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await new Promise<void>((done, fail) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) fail(payload.error);
      });
      consumer
        .run({
          eachBatch: ({ batch: { topic, partition, messages } }) => {
            const place = `${topic}/${partition}`;
            for (const { value, offset } of messages) {
              try {
                if (value !== null) onValue(value);
              } catch (error) {
                fail(error instanceof Error ? error : new Error(String(error)));
              }
              if (Number(offset) + 1 === pending.get(place)) pending.delete(place);
            }
            if (pending.size === 0) done();
            return Promise.resolve();
          },
        })
        .catch(fail);
    });
  } finally {
    await consumer.disconnect();
  }
}
