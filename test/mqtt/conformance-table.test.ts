import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const tests = globSync(['test/mqtt/*.test.ts', 'test/interop/*.test.ts'], { cwd: root })
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

describe('docs/mqtt-conformance.md', () => {
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
