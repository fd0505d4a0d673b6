import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import type { Reporter, TestCase } from 'vitest/node';
import { faultReport, type FaultTrialResult } from './fault-report.ts';
import { brokerRelease } from './kafka-release.ts';
import './fault-row.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** All results of this machine; delete it to begin anew. */
const RESULTS = join(ROOT, '.cache/fault-trials.jsonl');

/**
 * Vitest's reporter of fault tests: adds the result of each to `.cache/fault-trials.jsonl`, and writes the report to
 * the file in FAULT_REPORT after each, so that a run that is broken off has its report too.
 */
export default class FaultReporter implements Reporter {
  readonly #run = new Date().toISOString();
  readonly #revision = revision();

  async onTestCaseResult(test: TestCase): Promise<void> {
    const { state } = test.result();
    if (test.project.name !== 'fault' || (state !== 'passed' && state !== 'failed')) return;
    const [, scenario = test.name, seed] = /^(.*), seed (\d+)$/.exec(test.name) ?? [];
    const { faultRow, faultNote } = test.meta();
    const result: FaultTrialResult = {
      run: this.#run,
      date: this.#run.slice(0, 10),
      revision: this.#revision,
      kafka: brokerRelease(),
      node: process.versions.node,
      file: relative(ROOT, test.module.moduleId),
      suite: test.parent.type === 'suite' ? test.parent.name : '',
      scenario,
      seed: seed === undefined ? undefined : Number(seed),
      passed: state === 'passed',
      seconds: (test.diagnostic()?.duration ?? 0) / 1_000,
      row: faultRow,
      note: faultNote,
    };
    mkdirSync(dirname(RESULTS), { recursive: true });
    appendFileSync(RESULTS, `${JSON.stringify(result)}\n`);
    await writeReport();
  }
}

async function writeReport(): Promise<void> {
  const { FAULT_REPORT: report = '.cache/fault-report.md' } = process.env;
  const target = resolve(ROOT, report);
  const lines = existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8').trim().split('\n') : [];
  const text = faultReport(lines.map((line) => JSON.parse(line) as FaultTrialResult));
  writeFileSync(target, await format(text, { ...(await resolveConfig(target)), parser: 'markdown' }));
}

function revision(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    // The report itself is what a run changes.
    const changed = git('status', '--porcelain', '--', 'src', 'test', 'package-lock.json') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`;
  } catch {
    return 'unknown';
  }
}
