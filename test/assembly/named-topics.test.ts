import { expect, test } from 'vitest';
import { NamedTopics } from '../../src/assembly/named-topics.ts';

test('a profile names as many topics as it may, and each is told once', () => {
  const topics = new NamedTopics();
  const first = topics.admission(2);
  const second = topics.admission(2);
  expect(first.admit('a')).toBe(true);
  const told: string[] = [];
  topics.connect((topic) => told.push(topic));
  expect([first.admit('b'), first.admit('c'), first.admit('a')]).toEqual([true, false, true]);
  expect([second.admit('a'), second.admit('d')]).toEqual([true, true]);
  expect(told).toEqual(['a', 'b', 'd']);
});
