import { describe, expect, it } from 'vitest';
import { faultReport, type FaultTrialResult } from './fault-report.ts';

const BASE: FaultTrialResult = {
  run: '2026-01-02T10:00:00.000Z',
  date: '2026-01-02',
  revision: 'abc1234',
  kafka: '4.3.1',
  node: '24.6.0',
  file: 'test/fault/some.test.ts',
  suite: 'a producer in trouble',
  scenario: 'keeps all',
  seed: 1,
  passed: true,
  seconds: 12.4,
  row: {
    records: 210_000,
    acknowledged: 209_790,
    refused: 210,
    lost: 0,
    wrong: 0,
    twice: 0,
    mayBeTwice: 0,
    disordered: 0,
    answeredOnce: 210_000,
  },
};

describe('the fault report', () => {
  it('has a row for each seed with what was counted, and the sum of all', () => {
    const report = faultReport([BASE, { ...BASE, seed: 2, passed: false, row: { ...BASE.row!, lost: 3 } }]);
    expect(report).toContain(
      '| keeps all | 1 | 210,000 | 209,790 | 210 | 0 | 0 | 0 | 0 | 0 | 210,000 | 12 | passed | abc1234 |\n' +
        '| keeps all | 2 | 210,000 | 209,790 | 210 | 3 | 0 | 0 | 0 | 0 | 210,000 | 12 | **failed** | abc1234 |',
    );
    expect(report).toContain(
      '2 trials, 1 failed; 419,580 of 420,000 records acknowledged, 3 lost, 0 wrong, 0 disordered. 2026-01-02, Kafka 4.3.1',
    );
  });

  it('shows of each scenario its last run alone, with all of its seeds', () => {
    const later = { ...BASE, run: '2026-01-03T10:00:00.000Z', revision: 'def5678' };
    const report = faultReport([
      { ...BASE, seed: 3 },
      { ...BASE, seed: 4, scenario: 'not run again' },
      { ...later, seed: 5 },
      { ...later, seed: 6 },
    ]);
    const seeds = [...report.matchAll(/^\| (.*?) \| (\d) \|/gm)].map(([, scenario, seed]) => [
      scenario,
      seed,
    ]);
    expect(seeds).toEqual([
      ['keeps all', '5'],
      ['keeps all', '6'],
      ['not run again', '4'],
    ]);
  });

  it('says below the counts, or in the line, what else was measured', () => {
    const note = 'p99 before: 20 ms; during: 21 ms';
    expect(faultReport([{ ...BASE, note }])).toContain(
      'passed | abc1234 |\n\n- keeps all, seed 1: p99 before: 20 ms',
    );
    expect(faultReport([{ ...BASE, row: undefined, note }])).toContain('(12 s, abc1234): p99 before: 20 ms');
  });

  it('has a line for a test that counts nothing, or failed before it had counted', () => {
    expect(faultReport([{ ...BASE, row: undefined, passed: false }])).toContain(
      '- **failed**: keeps all, seed 1 (12 s, abc1234)',
    );
  });
});
