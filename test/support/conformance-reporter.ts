import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Reporter, TestModule, Vitest } from 'vitest/node';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = 'docs/mqtt-conformance.md';

/** A statement of the standard, and the name of its test; undefined where the page says why there is none. */
export interface ConformanceRow {
  readonly id: string;
  readonly evidence: string;
  readonly testName: string | undefined;
}

/** The rows of docs/mqtt-conformance.md. */
export function conformanceRows(): ConformanceRow[] {
  return readFileSync(join(ROOT, PAGE), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| [MQTT-'))
    .map((line) => {
      const [, id = '', , evidence = ''] = line.split('|').map((cell) => cell.trim());
      return { id, evidence, testName: /^“(.*)”$/.exec(evidence)?.[1] };
    });
}

/**
 * The rows whose test is not among those that passed. A row has the test's name, or what tells it from others in a table
 * of tests; a `%s` in it stands for anything.
 */
export function rowsWithoutTest(
  rows: readonly ConformanceRow[],
  passed: ReadonlySet<string>,
): ConformanceRow[] {
  const names = [...passed];
  return rows.filter(({ testName }) => {
    if (testName === undefined || passed.has(testName)) return false;
    const pattern = new RegExp(
      testName
        .split(/%[a-z]/)
        .map(literally)
        .join('.*'),
    );
    return !names.some((name) => pattern.test(name));
  });
}

const literally = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

/**
 * Vitest's reporter of MQTT's conformance: after a run of all tests below test/mqtt/ and test/interop/, each test that
 * docs/mqtt-conformance.md names must have run, and passed. Otherwise the run fails.
 */
export default class ConformanceReporter implements Reporter {
  #isFiltered = false;

  onInit({ config }: Vitest): void {
    this.#isFiltered = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const wanted = globSync('test/{mqtt,interop}/**/*.test.ts', { cwd: ROOT }).map((file) =>
      join(ROOT, file),
    );
    const ran = new Set(modules.map(({ moduleId }) => moduleId));
    if (this.#isFiltered || wanted.some((file) => !ran.has(file))) return;
    const passed = new Set<string>();
    for (const one of modules) {
      if (!wanted.includes(one.moduleId)) continue;
      for (const test of one.children.allTests('passed')) passed.add(test.name);
    }
    const missing = rowsWithoutTest(conformanceRows(), passed);
    if (missing.length === 0) return;
    console.error(`\n${PAGE} names tests that did not run, or did not pass:`);
    for (const { id, testName } of missing) console.error(`  ${id} “${testName ?? ''}”`);
    process.exitCode = 1;
  }
}
