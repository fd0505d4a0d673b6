import { TestRunner, type RunnerTestCase } from 'vitest';
import { judge, type DeliveryVerdict } from './delivery-verdict.ts';
import type { ConsumedTelemetry } from './telemetry-topic.ts';
import type { WatchedAccount } from './watched-ledger.ts';

/** What a fault test counted: its row in the fault report (`npm run test:faults`). */
export interface FaultRow {
  /** Records or messages that were sent. */
  readonly records: number;
  /** Those of them that the sender was told are safe. */
  readonly acknowledged: number;
  /** Those that were meant to be refused, and were. */
  readonly refused: number;
  /** Acknowledged, and not in Kafka. */
  readonly lost: number;
  /** In Kafka, and not what was sent: another key, another value, or never sent at all. */
  readonly wrong?: number;
  /** Copies in Kafka beyond the first. */
  readonly twice: number;
  /** Copies that there may be: what was sent again, and what the journal may bring again after a kill. */
  readonly mayBeTwice?: number;
  /** In Kafka behind a later one of the same key. */
  readonly disordered: number;
  /** Those that were called back, or answered, exactly once. */
  readonly answeredOnce: number;
}

declare module 'vitest' {
  interface TaskMeta {
    faultRow?: FaultRow;
    faultNote?: string;
  }
}

/** Enters what was counted into the fault report. Call it before the counts are judged: a failure is a row too. */
export function reportFaultRow(row: FaultRow): void {
  const test = TestRunner.getCurrentTest<RunnerTestCase | undefined>();
  if (test === undefined) throw new Error('a row of the fault report belongs to a test that runs');
  test.meta.faultRow = row;
}

/** Enters a sentence with what else was measured into the fault report. Call it before it is judged. */
export function reportFaultNote(note: string): void {
  const test = TestRunner.getCurrentTest<RunnerTestCase | undefined>();
  if (test === undefined) throw new Error('a note of the fault report belongs to a test that runs');
  test.meta.faultNote = note;
}

/**
 * Compares a fleet's ledger with what Kafka holds, and enters the counts into the fault report.
 * @param mayBeTwice copies that there may be
 */
export function judgeAndReport(
  accounts: ReadonlyMap<string, WatchedAccount>,
  records: readonly ConsumedTelemetry[],
  mayBeTwice = 0,
): DeliveryVerdict {
  const verdict = judge(accounts, records);
  const all = [...accounts.values()];
  reportFaultRow({
    records: sum(all.map(({ sent }) => sent)),
    acknowledged: sum(all.map(({ acknowledged }) => acknowledged.length)),
    refused: 0,
    lost: verdict.lost.length,
    wrong: verdict.wrong.length + verdict.invented.length,
    twice: verdict.repeated.length,
    mayBeTwice,
    disordered: verdict.disordered.length,
    answeredOnce: sum(all.map(({ acknowledged }) => new Set(acknowledged).size)),
  });
  return verdict;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
