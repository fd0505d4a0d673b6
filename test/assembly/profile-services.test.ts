import { expect, test } from 'vitest';
import { NamedTopics } from '../../src/assembly/profile-services.ts';

test('a profile names as many topics as it may, and each is told once', () => {
  const topics = new NamedTopics();
  const first = topics.admission('a', 2);
  const second = topics.admission('second', 2);
  expect(first.admit('a')).toBe(true);
  const told: string[] = [];
  topics.connect((topic) => told.push(topic));
  expect([first.admit('b'), first.admit('c'), first.admit('a')]).toEqual([true, false, true]);
  expect([second.admit('a'), second.admit('d')]).toEqual([true, true]);
  expect(told).toEqual(['a', 'b', 'd']);
});

test('a profile that is read again may not name as many topics again; one that is gone has named none', () => {
  const topics = new NamedTopics();
  topics.admission('first', 1).admit('a');
  topics.admission('gone', 1).admit('b');
  const again = topics.admission('first', 1);
  topics.retain(['first']);
  expect([again.admit('c'), again.admit('a')]).toEqual([false, true]);
  expect(topics.topics).toEqual(['a']);
});
