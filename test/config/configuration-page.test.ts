import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { valueAt } from '../../src/config/faults.ts';
import { configSchema } from '../../src/config/schema.ts';
import { fixedPaths, keysOf, schemaAt } from '../../src/config/schema-tree.ts';

const page = (name: string) => readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8');

/** Of a key that stands in a table: what the column of defaults says. */
function rows(text: string): Map<string, string> {
  const found = [...text.matchAll(/^\| `([a-z.]+)` *\| *([^|]*?) *\|/gm)];
  return new Map(found.map(([, key = '', value = '']) => [key, value]));
}

const configuration = rows(page('configuration.md'));
/** Sections with a table of their own elsewhere. */
const ELSEWHERE: Readonly<Record<string, string>> = { journal: 'journal.md', audit: 'audit.md' };
const SECURITY = /^kafka\.(ssl|sasl|security)\./;

const leaves = [...fixedPaths(configSchema)]
  .filter((path) => keysOf(schemaAt(configSchema, path)) === undefined)
  .filter((path) => !SECURITY.test(path.join('.')));

test('every key of sluice.yaml stands in docs/configuration.md, or in the page of its section', () => {
  const missing = leaves.filter(([section = '', ...rest]) => {
    const name = ELSEWHERE[section];
    if (name === undefined) return !configuration.has([section, ...rest].join('.'));
    return (
      !page(name).includes(`\`${rest.join('.')}\``) &&
      !page(name).includes(`\`${section}.${rest.join('.')}\``)
    );
  });
  expect(missing.map((path) => path.join('.'))).toEqual([]);
  expect(leaves.length).toBeGreaterThan(60);
});

test('docs/configuration.md names no key that there is not', () => {
  const known = [...fixedPaths(configSchema)].map((path) => path.join('.'));
  expect([...configuration.keys()].filter((key) => !known.includes(key))).toEqual([]);
});

/** A list in words, and one that is given here, so that those beside it have their defaults. */
const SPECIAL = ['mqtt.listeners', 'presence.topic'];

test('the defaults in docs/configuration.md are those of the schema', () => {
  const defaults = configSchema.parse({ presence: { topic: 'presence' } });
  const wrong = leaves.flatMap((path) => {
    const key = path.join('.');
    const value = valueAt(defaults, path) ?? '';
    const written = configuration.get(key);
    if (written === undefined || SPECIAL.includes(key) || typeof value === 'object') return [];
    return written === JSON.stringify(value).replaceAll('"', '') ? [] : [`${key}: ${written}`];
  });
  expect(wrong).toEqual([]);
});
