import { expect, test } from 'vitest';
import { compileTimeFormat } from '../../../src/decode/normalise/event-time.ts';

function parse(format: string, text: string, zoneMinutes = 0): string {
  const compiled = compileTimeFormat(format, zoneMinutes);
  if ('problem' in compiled) throw new Error(compiled.problem);
  const ms = compiled.format.parse(text);
  return Number.isNaN(ms) ? 'no time' : new Date(ms).toISOString();
}

test.each([
  ['iso8601', '2026-01-31T23:59:58Z', '2026-01-31T23:59:58.000Z'],
  ['iso8601', '2026-01-31T23:59:58.1234567+01:00', '2026-01-31T22:59:58.123Z'],
  ['iso8601', '2026-01-31 23:59', '2026-01-31T23:59:00.000Z'],
  ['iso8601', '2026-01-31', '2026-01-31T00:00:00.000Z'],
  ['iso8601', '2026-01-31T00:00:00-0330', '2026-01-31T03:30:00.000Z'],
  ['iso8601', '2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
  ['dd.MM.yyyy HH:mm:ss', '03.02.2026 04:05:06', '2026-02-03T04:05:06.000Z'],
  ['yyyyMMddTHHmmssZ', '20260203T040506+02', '2026-02-03T02:05:06.000Z'],
  ['yyyy/MM/dd HH:mm:ss.SSS', '2026/02/03 04:05:06.789', '2026-02-03T04:05:06.789Z'],
  ['iso8601', '0026-02-03T00:00:00Z', '0026-02-03T00:00:00.000Z'],
])('%s reads %s', (format, text, expected) => {
  expect(parse(format, text)).toBe(expected);
});

test('a text without an offset is in the zone that the profile gives', () => {
  expect(parse('iso8601', '2026-01-01T01:00:00', 60)).toBe('2026-01-01T00:00:00.000Z');
  expect(parse('iso8601', '2026-01-01T01:00:00Z', 60)).toBe('2026-01-01T01:00:00.000Z');
});

test.each(['2026-02-30T00:00:00Z', '2026-13-01', '2026-01-01T24:00:00Z', 'yesterday', '2026-1-1', ''])(
  '%j is no time',
  (text) => {
    expect(parse('iso8601', text)).toBe('no time');
  },
);

test.each([
  ['HH:mm', 'a pattern with yyyy, MM, dd in it, or iso8601'],
  ['yyyy-MM-dd yyyy', '`yyyy` only once'],
  ['yyyy-MM-dd hh', 'in which `h` is nothing'],
])('%s is no pattern', (format, problem) => {
  const compiled = compileTimeFormat(format, 0);
  expect('problem' in compiled && compiled.problem).toContain(problem);
});
