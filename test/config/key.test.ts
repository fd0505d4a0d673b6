import { expect, test } from 'vitest';
import { z } from 'zod';
import {
  inProgramTerms,
  integer,
  isSecret,
  path,
  section,
  text,
  unlimitedOr,
  valueAt,
} from '../../src/config/key.ts';
import { SETTINGS } from '../../src/producer/config/config-table.ts';
import type { Setting } from '../../src/producer/config/setting.ts';

const schema = section({
  'max.age.ms': unlimitedOr(1, 'an age'),
  'key.file': path('file', 'a file').optional(),
  directory: path('data', 'a folder'),
  'client.id': text('a name'),
  config: z.record(z.string(), z.number()),
  listeners: z.array(section({ 'proxy.port': integer(0, 9) })),
});
const folders = { file: '/etc/sluice', data: '/var/lib/sluice' };
const document = {
  'max.age.ms': 'unlimited' as const,
  'key.file': 'keys/journal.key',
  directory: '/srv/journal',
  'client.id': 'unlimited',
  config: { 'retention.ms': 7 },
  listeners: [{ 'proxy.port': 1 }],
};

test('a key’s name in the program follows from its name in the file, and names of a person’s own stay', () => {
  expect(inProgramTerms(schema, document, folders)).toEqual({
    maxAgeMs: Infinity,
    keyFile: '/etc/sluice/keys/journal.key',
    directory: '/srv/journal',
    clientId: 'unlimited',
    config: { 'retention.ms': 7 },
    listeners: [{ proxyPort: 1 }],
  });
});

test('a key that nobody set is not there in the program’s terms', () => {
  const unset = { ...document, 'key.file': undefined };
  expect(Object.keys(inProgramTerms(schema, unset, folders))).not.toContain('keyFile');
});

test('every setting that the producer’s table calls secret is hidden where it stands in sluice.yaml', () => {
  const secrets = Object.values<Setting<unknown>>(SETTINGS).filter(({ type }) => type.isSecret === true);
  expect(secrets.map(({ name }) => name)).toContain('sasl.password');
  expect(secrets.filter(({ name }) => !isSecret(['kafka', name]))).toEqual([]);
});

test('the value at a path is only what the document has, and nothing that every object inherits', () => {
  expect(valueAt({ a: [{ b: 1 }] }, ['a', 0, 'b'])).toBe(1);
  expect(valueAt({}, ['constructor'])).toBeUndefined();
  expect(valueAt({ a: 'text' }, ['a', 'length'])).toBeUndefined();
});
