import { expect, test, vi } from 'vitest';
import type { Topic } from '../../src/core/publication.ts';
import { RouteCache } from '../../src/route/route-cache.ts';

function topic(name: string, id: number): Topic {
  return { name, id };
}

test('a topic is looked up once', () => {
  const find = vi.fn(({ name }: Topic) => `route of ${name}`);
  const cache = new RouteCache(find);
  const a = topic('a', 3);
  expect(cache.resolve(a)).toBe('route of a');
  expect(cache.resolve(a)).toBe('route of a');
  expect(find).toHaveBeenCalledTimes(1);
});

test('that a topic leads nowhere is remembered too', () => {
  const find = vi.fn((): string | undefined => undefined);
  const cache = new RouteCache(find);
  const a = topic('a', 0);
  expect(cache.resolve(a)).toBeUndefined();
  expect(cache.resolve(a)).toBeUndefined();
  expect(find).toHaveBeenCalledTimes(1);
});

test('an id that now belongs to another topic does not lead to the old route', () => {
  const cache = new RouteCache(({ name }: Topic) => (name === 'gone' ? undefined : name));
  expect(cache.resolve(topic('old', 5))).toBe('old');
  expect(cache.resolve(topic('gone', 5))).toBeUndefined();
  expect(cache.resolve(topic('new', 5))).toBe('new');
});

test('after clear everything is looked up anew', () => {
  let answer = 'before';
  const cache = new RouteCache(() => answer);
  const a = topic('a', 1);
  expect(cache.resolve(a)).toBe('before');
  answer = 'after';
  cache.clear();
  expect(cache.resolve(a)).toBe('after');
});
