import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KEY_PAGES, currentPage, keyRows } from '../../scripts/key-tables.ts';
import { profileSchema } from '../../src/config/profile/profile-schema.ts';
import { KAFKA_SECURITY_KEYS, configSchema } from '../../src/config/schema.ts';

const root = join(import.meta.dirname, '../..');

test.each(KEY_PAGES)('%s has every key as the program has it (npm run docs writes them)', async (page) => {
  expect(readFileSync(join(root, page), 'utf8')).toBe(await currentPage(page));
});

test('every key of sluice.yaml stands in docs/configuration.md, lists and maps of a person’s own included', () => {
  const page = readFileSync(join(root, 'docs/configuration.md'), 'utf8');
  const told = keyRows(configSchema).filter(({ isSection }) => !isSection);
  expect(told.length).toBeGreaterThan(100);
  expect(told.map(({ path }) => path).filter((path) => !page.includes(`| \`${path}\``))).toEqual([]);
  for (const key of ['mqtt.listeners[].tls.client.ca', 'commands[].reply.topic', 'kafka.sasl.mechanism']) {
    expect(told.map(({ path }) => path)).toContain(key);
  }
});

test.each([
  ['sluice.yaml', configSchema],
  ['a profile', profileSchema],
])('every key of %s says what it is for, and what it may hold', (_, schema) => {
  const rows = keyRows(schema).filter(({ isSection }) => !isSection);
  expect(rows.filter(({ description }) => description === '').map(({ path }) => path)).toEqual([]);
  expect(rows.filter(({ expected }) => expected === '').map(({ path }) => path)).toEqual([]);
});

test('a default in a table has the unit that its key’s name ends with', () => {
  const rows = new Map(keyRows(configSchema).map((row) => [row.path, row.defaultValue]));
  expect(rows.get('shutdown.timeout.ms')).toBe('30000 ms');
  expect(rows.get('mqtt.read.ahead.bytes')).toBe('65536 bytes');
  expect(rows.get('mqtt.inflight.quota')).toBe('64');
  expect(rows.get('kafka.security.protocol')).toBe('PLAINTEXT');
});

test('the keys of security below kafka: are those of the producer’s table', () => {
  expect(KAFKA_SECURITY_KEYS).toContain('sasl.jaas.config');
  expect(KAFKA_SECURITY_KEYS.length).toBeGreaterThan(20);
  const paths = keyRows(configSchema).map(({ path }) => path);
  expect(KAFKA_SECURITY_KEYS.filter((key) => !paths.includes(`kafka.${key}`))).toEqual([]);
});
