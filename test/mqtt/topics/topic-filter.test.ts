import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filterMatches, FilterTree, isTopicFilter } from '../../../src/mqtt/topics/topic-filter.ts';

const level = fc.constantFrom('', 'a', 'b', 'c', '$x');
const topic = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((name) => name !== '');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'))
  .filter((text) => text !== '');

describe('topic filters', () => {
  it.each([
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/#', 'sport', true],
    ['#', 'a/b', true],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+', 'finance', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/a', false],
    ['+/a', '$SYS/a', false],
    ['$SYS/#', '$SYS/a', true],
    ['$SYS/+', '$SYS/a', true],
    ['ACCOUNTS', 'accounts', false],
  ])('%s and %s: %s (MQTT 3.1.1 section 4.7)', (text, name, matches) => {
    expect(filterMatches(text, name)).toBe(matches);
    const tree = new FilterTree<number>();
    tree.add(text, 1);
    expect(tree.matches(name)).toBe(matches);
  });

  it.each([
    ['', false],
    ['#', true],
    ['a/#', true],
    ['a#', false],
    ['#/a', false],
    ['a/#/b', false],
    ['+', true],
    ['a/+/b', true],
    ['a+', false],
    ['+a/b', false],
    ['/', true],
    ['a/'.repeat(100), false],
  ])('%j is a filter: %s', (text, valid) => {
    expect(isTopicFilter(text)).toBe(valid);
  });
});

describe('FilterTree', () => {
  it('finds exactly what filterMatches says, after any adding and removing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(filter, fc.boolean()), { maxLength: 30 }),
        fc.array(topic, { minLength: 1, maxLength: 10 }),
        (changes, topics) => {
          const tree = new FilterTree<string>();
          const held = new Set<string>();
          for (const [text, add] of changes) {
            const before = tree.generation;
            const changed = held.has(text) !== add;
            if (add) {
              tree.add(text, text);
              held.add(text);
            } else {
              tree.remove(text, text);
              held.delete(text);
            }
            if (changed) expect(tree.generation).toBeGreaterThan(before);
          }
          for (const name of topics) {
            const expected = [...held].filter((text) => filterMatches(text, name)).toSorted();
            expect(tree.match(name).toSorted()).toEqual(expected);
            expect(tree.matches(name)).toBe(expected.length > 0);
          }
        },
      ),
    );
  });
});
