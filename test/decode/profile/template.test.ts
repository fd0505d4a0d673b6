import { expect, test } from 'vitest';
import { parseTemplate } from '../../../src/decode/profile/template.ts';

const levels = new Map([
  ['site', 'oslo'],
  ['device_id', 'd{1}'],
]);

test.each([
  ['{site}', 'oslo'],
  ['plain', 'plain'],
  ['', ''],
  ['{site}/{device_id}-x', 'oslo/d{1}-x'],
  ['{site}{site}', 'oslooslo'],
])('%j gives %j', (text, expected) => {
  const parsed = parseTemplate(text);
  expect('template' in parsed && parsed.template.fill(levels)).toBe(expected);
});

test.each(['{', '}', '{}', 'a{b', 'a}b', '{{site}}', '{a b}', '{1}'])('%j is refused', (text) => {
  expect(parseTemplate(text)).toEqual({
    problem: 'braces only as {name}, the name of letters, digits, _ and -',
  });
});
