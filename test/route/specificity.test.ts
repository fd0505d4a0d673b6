import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseTopicPattern, type TopicPattern } from '../../src/core/topic-pattern.ts';
import { RouteTable } from '../../src/route/route-table.ts';
import { whyNot } from '../../src/route/specificity.ts';

const level = fc.constantFrom('a', 'b', '{x}', '+', '(a|b)');
const last = fc.option(fc.constantFrom('#', '{rest...}'), { nil: undefined });
const patterns = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), last)
  .map(([levels, end]) => [...levels, ...(end === undefined ? [] : [end])].join('/'))
  .filter((text) => (text.match(/\{x\}/g) ?? []).length < 2);
const topics = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 5 })
  .map((l) => l.join('/'));

function parsed(text: string): TopicPattern {
  const result = parseTopicPattern(text);
  if ('problem' in result) throw new Error(text);
  return result.pattern;
}

it('says why a pattern does not match exactly where the routes say that it does not', () => {
  fc.assert(
    fc.property(patterns, topics, (pattern, topic) => {
      const table = new RouteTable<string>();
      table.add(pattern, pattern);
      expect(whyNot(parsed(pattern), topic) === undefined).toBe(table.match(topic).length === 1);
    }),
  );
});

it('ranks as routes are taken: the same order, the same levels, up to the first that stops', () => {
  fc.assert(
    fc.property(
      fc.array(patterns, { minLength: 1, maxLength: 6 }),
      fc.nat(5),
      topics,
      (all, stopping, topic) => {
        const table = new RouteTable<number>();
        for (const [index, pattern] of all.entries()) table.add(pattern, index, { stop: index === stopping });
        const ranked = table.rank(topic);
        const taken = ranked.filter(({ stoppedBy }) => stoppedBy === undefined);
        expect(taken.map(({ target, captures }) => ({ target, captures }))).toEqual(table.match(topic));
        for (const [index, { because }] of ranked.entries()) expect(because === undefined).toBe(index === 0);
      },
    ),
  );
});
