import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RouteTable } from '../../src/route/route-table.ts';

function table(...patterns: string[]): RouteTable<string> {
  const routes = new RouteTable<string>();
  for (const pattern of patterns) expect(routes.add(pattern, pattern)).toBeUndefined();
  return routes;
}

describe('what matches', () => {
  test.each([
    ['a/b', 'a/b', true],
    ['a/b', 'a/b/', false],
    ['a/b', 'A/b', false],
    ['a/+', 'a/b', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+', 'a/b/c', false],
    ['+', '/', false],
    ['+/+', '/', true],
    ['/+', '/a', true],
    ['#', 'a/b/c', true],
    ['a/#', 'a', true],
    ['a/#', 'a/', true],
    ['a/#', 'ab', false],
    ['+/b/#', 'a/b', true],
    ['+/{x}/c', 'a/b/c', true],
  ])('%s and %s: %s (MQTT 3.1.1, 4.7)', (pattern, topic, matches) => {
    expect(table(pattern).match(topic)).toHaveLength(matches ? 1 : 0);
  });

  test.each(['$SYS/broker/load', '$', '$share/g/a'])('%s is never routed, not even by #', (topic) => {
    expect(table('#', '+/#', '+/{b}/{c}').match(topic)).toEqual([]);
  });

  test('named levels are captured with what stands there, empty levels too', () => {
    const [match] = table('fleet/{site}/+/{device}/#').match('fleet//x/d1/y/z');
    expect(match?.captures).toEqual(
      new Map([
        ['site', ''],
        ['device', 'd1'],
      ]),
    );
  });

  test.each([
    ['a/{tail...}', 'a/b/c', 'b/c'],
    ['a/{tail...}', 'a', ''],
    ['a/{tail...}', 'a/', ''],
    ['{tail...}', 'a/b', 'a/b'],
    ['a/{tail:x|y}/b', 'a/y/b', 'y'],
    ['a/{tail:x|y}/b', 'a/z/b', undefined],
    ['a/(x|y)/{tail...}', 'a/x/b/c', 'b/c'],
    ['(a|b)/(x|y)', 'a/z', undefined],
  ])('%s captures of %s: %j', (pattern, topic, tail) => {
    expect(table(pattern).match(topic)[0]?.captures.get('tail')).toBe(tail);
  });

  test('a topic of very many levels is no trouble', () => {
    const deep = Array.from({ length: 30_000 }, () => 'a').join('/');
    expect(table('a/{b}/#').match(deep)[0]?.captures.get('b')).toBe('a');
    expect(table('a/{b}').match(deep)).toEqual([]);
  });
});

describe('which wins', () => {
  test.each([
    [['a/+', 'a/b'], 'a/b', 'a/b'],
    [['#', 'a/#', 'a/+/#'], 'a/b', 'a/+/#'],
    [['#', 'a/#'], 'a', 'a/#'],
    [['+/b', 'a/+'], 'a/b', 'a/+'],
    [['a/b/#', 'a/+/c'], 'a/b/c', 'a/b/#'],
    // The more specific branch is left again when it leads nowhere.
    [['a/b/d', 'a/+/c'], 'a/b/c', 'a/+/c'],
    [['a/b/d/#', 'a/{x}/c/{y}', '#'], 'a/b/c/d', 'a/{x}/c/{y}'],
  ])('of %j for %s: %s, in any order', (patterns, topic, winner) => {
    for (const order of [patterns, patterns.toReversed()]) {
      const routes = table(...order);
      expect(routes.match(topic)[0]?.target).toBe(winner);
    }
  });

  test('all that match, the most specific first, up to the first that stops', () => {
    const routes = new RouteTable<string>();
    routes.add('#', 'everything');
    routes.add('a/+/#', 'branch', { stop: true });
    routes.add('a/b', 'leaf');
    routes.add('a/{x}', 'level');
    const targets = (topic: string): string[] => routes.match(topic).map(({ target }) => target);
    expect(targets('a/b')).toEqual(['leaf', 'level', 'branch']);
    expect(targets('a/c')).toEqual(['level', 'branch']);
    expect(targets('a/c/d')).toEqual(['branch']);
    expect(targets('b')).toEqual(['everything']);
  });

  test('profiles of the same topics both get them, in the order of their files', () => {
    const routes = new RouteTable<number>();
    routes.add('a/{x}', 1);
    routes.add('a/{y}', 2);
    expect(routes.match('a/b')).toEqual([
      { target: 1, captures: new Map([['x', 'b']]) },
      { target: 2, captures: new Map([['y', 'b']]) },
    ]);
  });

  test.each([
    ['a/{x}', 'a/{y}', 'exactly the same'],
    ['a/+', 'a/{y}', 'exactly the same'],
    ['a/{b}/#', 'a/+/{c...}', 'exactly the same'],
    ['a', 'a', 'exactly the same'],
    ['a/b', 'a/(b|c)', 'some of them'],
  ])('%s and %s can not both have the same topics if one stops', (first, second, extent) => {
    for (const stop of [
      { first: true, second: false },
      { first: false, second: true },
    ]) {
      const routes = new RouteTable<number>();
      routes.add(first, 1, { owner: 'devices/one.yaml', stop: stop.first });
      expect(routes.add(second, 2, { owner: 'devices/two.yaml', stop: stop.second })).toEqual({
        path: ['topic'],
        found: second,
        expected: `topics of its own: \`${first}\` of devices/one.yaml matches ${extent}, and \`stop: true\` lets only one of them have it`,
      });
      expect(routes.size).toBe(1);
    }
  });

  test('a text that is no pattern is a fault and adds nothing', () => {
    const routes = new RouteTable<number>();
    expect(routes.add('a/#/b', 1)?.path).toEqual(['topic']);
    expect(routes.size).toBe(0);
  });
});

describe('against a plain reading of the rules', () => {
  const level = fc.constantFrom('a', 'b', 'c', '');
  const patternLevel = fc.constantFrom('a', 'b', 'c', '', '+');
  const pattern = fc
    .tuple(fc.array(patternLevel, { minLength: 1, maxLength: 5 }), fc.boolean())
    .map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'))
    .filter((text) => text !== '');
  const topic = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => levels.join('/'));

  test('all patterns that match, the most specific first', () => {
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { minLength: 1, maxLength: 12 }), topic, (patterns, name) => {
        const expected = patterns.filter((text) => matches(text, name)).sort(bySpecificity);
        const found = table(...patterns).match(name);
        expect(found.map(({ target }) => target)).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  function matches(text: string, name: string): boolean {
    const source = text
      .split('/')
      .map((part, index) => {
        if (part === '#') return index === 0 ? '.*' : '(/.*)?';
        return (index === 0 ? '' : '/') + (part === '+' ? '[^/]*' : part);
      })
      .join('');
    return new RegExp(`^${source}$`).test(name);
  }

  function bySpecificity(a: string, b: string): number {
    const rank = (part: string | undefined): number =>
      part === undefined ? 3 : part === '#' ? 2 : part === '+' ? 1 : 0;
    const left = a.split('/');
    const right = b.split('/');
    for (let index = 0; index < Math.max(left.length, right.length); index++) {
      const difference = rank(left[index]) - rank(right[index]);
      // A pattern that ends where the other has `#` names the topic itself.
      if (left[index] === undefined && right[index] === '#') return -1;
      if (right[index] === undefined && left[index] === '#') return 1;
      if (difference !== 0) return difference;
    }
    return 0;
  }
});
