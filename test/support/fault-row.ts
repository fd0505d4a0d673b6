import { TestRunner, type RunnerTestCase } from 'vitest';
import type { DeviceAccount } from '../../src/fleet/ledger.ts';
import { judge, type DeliveryVerdict } from './delivery-verdict.ts';
import type { ConsumedTelemetry } from './telemetry-topic.ts';

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
  /** In Kafka more than once. */
  readonly twice: number;
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

/** Compares a fleet's ledger with what Kafka holds, and enters the counts into the fault report. */
export function judgeAndReport(
  accounts: ReadonlyMap<string, Readonly<DeviceAccount>>,
  records: readonly ConsumedTelemetry[],
): DeliveryVerdict {
  const verdict = judge(accounts, records);
  const all = [...accounts.values()];
  reportFaultRow({
    records: sum(all.map(({ sent }) => sent)),
    acknowledged: sum(all.map(({ acknowledged }) => acknowledged.length)),
    refused: 0,
    lost: verdict.lost.length,
    twice: verdict.repeated.length,
    disordered: verdict.disordered.length,
    answeredOnce: sum(all.map(({ acknowledged }) => new Set(acknowledged).size)),
  });
  return verdict;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
