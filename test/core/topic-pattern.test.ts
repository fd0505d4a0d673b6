import { expect, test } from 'vitest';
import { parseTopicPattern } from '../../src/core/topic-pattern.ts';

function problem(text: string): string {
  const parsed = parseTopicPattern(text);
  if (!('problem' in parsed)) throw new Error(`${text} was accepted`);
  return `found ${parsed.problem.found}, expected ${parsed.problem.expected}`;
}

test('a pattern has literal, named, any and rest levels', () => {
  const parsed = parseTopicPattern('fleet/{site}/{device_id}/+/#');
  expect(parsed).toEqual({
    pattern: {
      text: 'fleet/{site}/{device_id}/+/#',
      names: ['site', 'device_id'],
      levels: [
        { kind: 'literal', text: 'fleet' },
        { kind: 'named', name: 'site' },
        { kind: 'named', name: 'device_id' },
        { kind: 'any' },
        { kind: 'rest', name: undefined },
      ],
    },
  });
});

test('a pattern has alternatives and a tail, with and without a name', () => {
  const parsed = parseTopicPattern('(eu|us)/{kind:up|down}/{path...}');
  expect(parsed).toEqual({
    pattern: {
      text: '(eu|us)/{kind:up|down}/{path...}',
      names: ['kind', 'path'],
      levels: [
        { kind: 'choice', texts: ['eu', 'us'], name: undefined },
        { kind: 'choice', texts: ['up', 'down'], name: 'kind' },
        { kind: 'rest', name: 'path' },
      ],
    },
  });
  // Devices may well have brackets in their topics: only a `|` makes alternatives of them.
  expect(parseTopicPattern('a/(b)')).toMatchObject({ pattern: { levels: [{}, { kind: 'literal' }] } });
});

test('empty levels are levels', () => {
  const parsed = parseTopicPattern('/a//');
  expect('pattern' in parsed && parsed.pattern.levels).toHaveLength(4);
});

test.each([
  ['', 'found "", expected at least one character ([MQTT-4.7.3-1])'],
  ['a\0b', 'found "a\\u0000b", expected a pattern without the character NUL ([MQTT-4.7.3-2])'],
  ['\ud800', 'found text that is not, expected at most 65535 bytes of valid UTF-8 ([MQTT-4.7.3-3])'],
  ['a/#/b', 'found "a/#/b", expected `#` as the last level only ([MQTT-4.7.1-2])'],
  ['a/b#', 'found level `b#`, expected `+` and `#` alone in their level ([MQTT-4.7.1-2], [MQTT-4.7.1-3])'],
  ['a/+b', 'found level `+b`, expected `+` and `#` alone in their level ([MQTT-4.7.1-2], [MQTT-4.7.1-3])'],
  [
    'a/dev-{id}',
    'found level `dev-{id}`, expected a whole level as `{name}`, `{name:a|b}` or `{name...}`, the name of letters, digits, `_` and `-`',
  ],
  [
    'a/{b',
    'found level `{b`, expected a whole level as `{name}`, `{name:a|b}` or `{name...}`, the name of letters, digits, `_` and `-`',
  ],
  [
    'a/{}',
    'found level `{}`, expected a whole level as `{name}`, `{name:a|b}` or `{name...}`, the name of letters, digits, `_` and `-`',
  ],
  ['a/{b...}/c', 'found "a/{b...}/c", expected `{b...}` as the last level only ([MQTT-4.7.1-2])'],
  [
    'a/(b||c)',
    'found level `(b||c)`, expected different alternatives of at least one character, with `|` between them',
  ],
  [
    'a/{x:b|b}',
    'found level `{x:b|b}`, expected different alternatives of at least one character, with `|` between them',
  ],
  [
    Array.from({ length: 9 }, () => '(a|b)').join('/'),
    'found 512 of them, expected alternatives that make at most 256 combinations',
  ],
  ['{a}/{a}', 'found `{a}` twice, expected every name once'],
  ['$SYS/#', 'found "$SYS/#", expected a topic that does not begin with `$`: those are never routed'],
  [
    '$share/g/a',
    'found "$share/g/a", expected the pattern without `$share/<group>/`: the bridge sees every message once anyway',
  ],
])('%j is refused', (text, expected) => {
  expect(problem(text)).toBe(expected);
});
