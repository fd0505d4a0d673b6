import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isTopicName,
  MAX_TOPIC_BYTES,
  MAX_TOPIC_LEVELS,
  TopicTable,
} from '../../../src/mqtt/topics/topic-table.ts';
import { range } from '../harness.ts';

const intern = (table: TopicTable, name: string) => {
  const bytes = Buffer.from(`..${name}..`);
  return table.intern(bytes, 2, bytes.length - 2);
};

describe('TopicTable', () => {
  it('hands out the same object for the same bytes, and another for others', () => {
    const table = new TopicTable(100, 1);
    const names = fc.sample(fc.stringMatching(/^[a-z/é€]{1,12}$/), 60);
    const topics = names.map((name) => intern(table, name)!);
    for (const [index, name] of names.entries()) {
      expect(intern(table, name)).toBe(topics[names.indexOf(name)]);
      expect(topics[index]!.name).toBe(name);
      expect(topics[index]!.evicted).toBe(false);
    }
    expect(table.size).toBe(new Set(names).size);
  });

  it('does not keep the buffer that it read from', () => {
    const table = new TopicTable(100, 1);
    const bytes = Buffer.from('fleet/a');
    const topic = table.intern(bytes, 0, bytes.length)!;
    bytes.fill(0x78);
    expect(topic.name).toBe('fleet/a');
    expect(intern(table, 'fleet/a')).toBe(topic);
  });

  it('is bounded: an id is dense, and passes to a new topic when its own was not used lately', () => {
    const table = new TopicTable(16, 1);
    const topics = range(16).map((index) => intern(table, `t/${index}`)!);
    expect(topics.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual(range(16, 0));
    intern(table, 'new/1');
    // The first round took everybody's second chance; only this one is used again.
    const kept = intern(table, 't/9')!;
    for (const index of range(14)) intern(table, `newer/${index}`);
    expect(table.size).toBe(16);
    expect(kept.evicted).toBe(false);
    expect(intern(table, 't/9')).toBe(kept);
    expect(topics.filter(({ evicted }) => evicted)).toHaveLength(15);
    const again = intern(table, 't/3')!;
    expect(again).not.toBe(topics[2]);
    expect(again.name).toBe('t/3');
  });

  it('always finds what it holds, whatever was evicted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 300 }),
        fc.integer(),
        (uses, seed) => {
          const table = new TopicTable(16, seed);
          for (const use of uses) {
            const topic = intern(table, `t/${use}`)!;
            expect(topic.name).toBe(`t/${use}`);
            expect(topic.evicted).toBe(false);
            expect(topic.id).toBeLessThan(16);
            expect(intern(table, `t/${use}`)).toBe(topic);
          }
        },
      ),
    );
  });

  it('keeps chains short when hashes collide', () => {
    const seed = 7;
    const bucketOf = (name: string): number => {
      let hash = seed;
      for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
      return (hash ^ (hash >>> 15)) & 1_023;
    };
    const crafted = range(100_000)
      .map((index) => `x/${index}`)
      .filter((name) => bucketOf(name) === 5);
    expect(crafted.length).toBeGreaterThan(50);
    const table = new TopicTable(1_024, seed);
    for (const name of crafted) expect(intern(table, name)!.name).toBe(name);
    expect(table.size).toBe(16);
  });

  it('knows $ topics', () => {
    const table = new TopicTable(10, 1);
    expect(intern(table, '$SYS/a')!.reserved).toBe(true);
    expect(intern(table, 'a/$b')!.reserved).toBe(false);
  });
});

describe('isTopicName', () => {
  it.each([
    ['', false],
    ['a', true],
    ['/', true],
    ['a//b/', true],
    ['é/温度', true],
    ['a+', false],
    ['a/#', false],
    ['a\0b', false],
    ['/'.repeat(MAX_TOPIC_LEVELS - 1), true],
    ['/'.repeat(MAX_TOPIC_LEVELS), false],
    ['x'.repeat(MAX_TOPIC_BYTES), true],
    ['x'.repeat(MAX_TOPIC_BYTES + 1), false],
    ['é'.repeat(MAX_TOPIC_BYTES / 2 + 1), false],
  ])('%j: %s', (name, valid) => {
    expect(isTopicName(Buffer.from(name))).toBe(valid);
  });

  it.each([
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['an overlong form', [0xc0, 0xaf]],
    ['a cut character', [0xe2, 0x82]],
  ])('refuses %s', (_what, bytes) => {
    expect(isTopicName(Uint8Array.from(bytes))).toBe(false);
  });
});
