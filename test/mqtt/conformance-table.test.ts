import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const tests = globSync('test/{mqtt,interop}/**/*.test.ts', { cwd: root })
  .filter((file) => !file.endsWith('conformance-table.test.ts'))
  .map((file) => readFileSync(join(root, file), 'utf8'))
  .join('\n');

const rows = readFileSync(join(root, 'docs/mqtt-conformance.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| [MQTT-'))
  .map((line) => {
    const [, id = '', , evidence = ''] = line.split('|');
    return { id: id.trim(), evidence: evidence.trim() };
  });

/** The ids of the standard's appendix B: a section, and how many statements it has. */
const APPENDIX_B: readonly (readonly [section: string, statements: number])[] = [
  ['1.5.3', 3],
  ['2.2.2', 2],
  ['2.3.1', 7],
  ['3.1.0', 2],
  ['3.1.2', 24],
  ['3.1.3', 11],
  ['3.1.4', 5],
  ['3.2.0', 1],
  ['3.2.2', 6],
  ['3.3.1', 12],
  ['3.3.2', 3],
  ['3.3.4', 1],
  ['3.3.5', 2],
  ['3.6.1', 1],
  ['3.8.1', 1],
  ['3.8.3', 4],
  ['3.8.4', 6],
  ['3.9.3', 2],
  ['3.10.1', 1],
  ['3.10.3', 2],
  ['3.10.4', 6],
  ['3.12.4', 1],
  ['3.14.1', 1],
  ['3.14.4', 3],
  ['4.1.0', 2],
  ['4.3.1', 1],
  ['4.3.2', 2],
  ['4.3.3', 2],
  ['4.4.0', 1],
  ['4.5.0', 2],
  ['4.6.0', 6],
  ['4.7.1', 3],
  ['4.7.2', 1],
  ['4.7.3', 4],
  ['4.8.0', 2],
  ['6.0.0', 4],
  ['7.0.0', 2],
  ['7.1.1', 1],
  ['7.1.2', 1],
];

describe('docs/mqtt-conformance.md', () => {
  it('has every statement of the standard, in its order, and no other', () => {
    const all = APPENDIX_B.flatMap(([section, statements]) =>
      Array.from({ length: statements }, (_, index) => `[MQTT-${section}-${index + 1}]`),
    );
    expect(rows.map(({ id }) => id)).toEqual(all);
  });

  it('names tests that exist', () => {
    const named = rows.flatMap(({ id, evidence }) => {
      const name = /^“(.*)”$/.exec(evidence)?.[1];
      return name === undefined ? [] : [{ id, name }];
    });
    const inQuotes = (name: string): boolean =>
      ["'", '"', '`'].some((quote) => tests.includes(quote + name + quote));
    expect(named.filter(({ name }) => !inQuotes(name))).toEqual([]);
    expect(named.length).toBeGreaterThan(80);
  });

  it('has each statement once, with a test or a reason', () => {
    const ids = rows.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(rows.filter(({ evidence }) => evidence.length < 10)).toEqual([]);
  });

  it('has every statement that a test carries the id of', () => {
    const carried = new Set(tests.match(/\[MQTT-[\d.]+-\d+\]/g));
    const known = new Set(rows.map(({ id }) => id));
    expect([...carried].filter((id) => !known.has(id))).toEqual([]);
  });
});
