import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { conformanceRows, rowsWithoutTest } from '../support/conformance-reporter.ts';

const root = resolve(import.meta.dirname, '../..');
const rows = conformanceRows();

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

  it('names a test for most statements; that each of them has passed is looked at after the run', () => {
    expect(rows.filter(({ testName }) => testName !== undefined).length).toBeGreaterThan(80);
    const config = readFileSync(join(root, 'vitest.config.ts'), 'utf8');
    const ci = readFileSync(join(root, '.ci/run'), 'utf8');
    for (const text of [config, ci]) expect(text).toContain('./test/support/conformance-reporter.ts');
  });

  it('is found wanting when a test that it names has not passed', () => {
    const row = (id: string, testName: string | undefined) => ({ id, evidence: '', testName });
    const table = [row('a', 'one'), row('b', 'each: %s (%i)'), row('c', undefined), row('d', 'two')];
    expect(rowsWithoutTest(table, new Set(['one', 'each: x (2)', 'two']))).toEqual([]);
    expect(rowsWithoutTest(table, new Set(['it is one of two', 'each: x']))).toMatchObject([{ id: 'b' }]);
    expect(rowsWithoutTest(table, new Set())).toMatchObject([{ id: 'a' }, { id: 'b' }, { id: 'd' }]);
  });

  it('has each statement once, with a test or a reason', () => {
    const ids = rows.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(rows.filter(({ evidence }) => evidence.length < 10)).toEqual([]);
  });

  it('has every statement that a test carries the id of', () => {
    const tests = globSync('test/{mqtt,interop}/**/*.test.ts', { cwd: root })
      .filter((file) => !file.endsWith('conformance-table.test.ts'))
      .map((file) => readFileSync(join(root, file), 'utf8'));
    const carried = new Set(tests.join('\n').match(/\[MQTT-[\d.]+-\d+\]/g));
    const known = new Set(rows.map(({ id }) => id));
    expect([...carried].filter((id) => !known.has(id))).toEqual([]);
  });
});
