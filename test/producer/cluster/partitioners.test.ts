import { describe, expect, it } from 'vitest';
import { NO_HEADERS } from '../../../src/core/record.ts';
import {
  RoundRobinPartitioner,
  partitionForKey,
  type Partitioner,
} from '../../../src/producer/cluster/partitioner.ts';
import { Topic } from '../../../src/producer/cluster/topic.ts';
import { settled } from '../scripted-port.ts';
import { ScriptedProducer } from '../scripted-producer.ts';

/** A generator that a test can repeat. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function topicOf(
  leaders: readonly number[],
  options: {
    adaptive?: boolean;
    ignoreKeys?: boolean;
    partitioner?: Partitioner;
    unavailable?: readonly number[];
  } = {},
): Topic {
  const topic = new Topic('t', {
    progress: () => 0,
    config: {
      batchSizeBytes: 1_000,
      partitionerAdaptive: options.adaptive ?? true,
      partitionerIgnoreKeys: options.ignoreKeys ?? false,
    },
    isUnavailable: (brokerId) => options.unavailable?.includes(brokerId) ?? false,
    random: seeded(7),
    partitioner: options.partitioner,
  });
  topic.update(
    'a',
    leaders.map((leaderId) => ({ leaderId, leaderEpoch: 0 })),
  );
  return topic;
}

const record = (key: string | null) => ({
  topic: 't',
  key: key === null ? null : Buffer.from(key),
  value: null,
  timestampMs: 0,
  headers: NO_HEADERS,
});

/** How many of `count` records of 100 bytes without a key go to each partition. */
function spread(topic: Topic, count: number, key: string | null = null): number[] {
  const counts = topic.partitions.map(() => 0);
  for (let i = 0; i < count; i++) {
    const partition = topic.partitionFor(record(key), 100);
    counts[partition] = counts[partition]! + 1;
  }
  return counts;
}

describe('records without a key', () => {
  it('records without a key stick to one partition for a batch, and are evenly spread in the long run', () => {
    const topic = topicOf([1, 2, 3, 4]);
    const first = Array.from({ length: 10 }, () => topic.partitionFor(record(null), 100));
    expect(new Set(first).size).toBe(1);
    for (const count of spread(topic, 40_000)) expect(Math.abs(count - 10_000)).toBeLessThan(1_000);
  });

  it('records without a key go less often to partitions with long queues', () => {
    const topic = topicOf([1, 2]);
    topic.partitions[0]!.waiting.length = 9;
    const [slow, quick] = spread(topic, 20_000);
    expect(quick! / slow!).toBeGreaterThan(6);
  });

  it('records without a key do not heed queues while partitioner.adaptive.partitioning.enable is false', () => {
    const topic = topicOf([1, 2], { adaptive: false });
    topic.partitions[0]!.waiting.length = 9;
    const [slow, quick] = spread(topic, 40_000);
    expect(quick! / slow!).toBeLessThan(1.2);
  });

  it('records without a key pass over partitions without a leader or with a broker that takes nothing, if there are others', () => {
    expect(spread(topicOf([-1, 2, 3], { unavailable: [3] }), 1_000)).toEqual([0, 1_000, 0]);
    expect(spread(topicOf([-1, 2], { unavailable: [2] }), 1_000)).toEqual([0, 1_000]);
    expect(spread(topicOf([-1, -1]), 1_000).every((count) => count > 0)).toBe(true);
  });
});

describe('records with a key', () => {
  it('records with a key are treated as if they had none with partitioner.ignore.keys', () => {
    const counts = spread(topicOf([1, 2, 3], { ignoreKeys: true }), 3_000, 'always the same');
    expect(counts.every((count) => count > 500)).toBe(true);
  });

  it('records with a key of a topic that grows go to a new partition only after those before them in the old one are settled', async () => {
    const scripted = await ScriptedProducer.withTopic([1, 1]);
    const keys = Array.from({ length: 50 }, (_, i) => `key-${i}`);
    const moving = keys.find(
      (key) => partitionForKey(Buffer.from(key), 2) === 0 && partitionForKey(Buffer.from(key), 3) === 2,
    )!;
    const staying = keys.find(
      (key) => partitionForKey(Buffer.from(key), 2) === 1 && partitionForKey(Buffer.from(key), 3) === 1,
    )!;
    expect(scripted.try('old', 't', moving)).toBeUndefined();
    await scripted.pass(10);
    const held = scripted.port.last();
    expect(held.batches[0]).toMatchObject({ partition: 0, values: ['old'] });

    scripted.port.setTopic('t', [1, 1, 1]);
    await scripted.pass(300_001); // metadata.max.age.ms
    expect(scripted.try('elsewhere', 't', staying)).toBeUndefined();
    const refusal = scripted.try('new', 't', moving);
    if (refusal === undefined || refusal instanceof Error) throw new Error('it should wait');
    let woken = false;
    refusal.wait(() => {
      woken = true;
      expect(scripted.try('new', 't', moving)).toBeUndefined();
    });
    await scripted.pass(10);
    expect(woken).toBe(false);
    await held.answer();
    expect(woken).toBe(true);
    await scripted.pass(10);
    expect(scripted.port.last().batches[0]).toMatchObject({ partition: 2, values: ['new'] });
  });
});

describe('another partitioner', () => {
  it('the round-robin partitioner takes one partition after the other, those with a leader only', () => {
    const topic = topicOf([1, -1, 3], { partitioner: new RoundRobinPartitioner() });
    const chosen = Array.from({ length: 5 }, () => topic.partitionFor(record('same'), 100));
    expect(chosen).toEqual([0, 2, 0, 2, 0]);
  });

  it('a partitioner of your own decides, and a record for which it names no partition fails', async () => {
    const choices = [1, 5];
    const partitioner: Partitioner = { partition: () => choices.shift()! };
    const scripted = new ScriptedProducer({}, { partitioner });
    scripted.port.setTopic('t', [1, 1]);
    scripted.producer.prepare(['t']);
    await settled();
    expect(scripted.try('a')).toBeUndefined();
    expect(scripted.try('b')).toMatchObject({ code: 'INVALID_RECORD' });
    await scripted.pass(10);
    expect(scripted.port.last().batches[0]).toMatchObject({ partition: 1, values: ['a'] });
  });
});
