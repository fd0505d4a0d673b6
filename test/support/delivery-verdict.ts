import { DeliveryJudge, type DeliveredRecord, type DeviceAccount } from '../../src/drill/delivery-judge.ts';

/** What Kafka holds beside what the devices know, all of it by name. Empty lists are good news. */
export interface DeliveryVerdict {
  readonly lost: readonly string[];
  readonly invented: readonly string[];
  readonly repeated: readonly string[];
  readonly disordered: readonly string[];
  readonly scattered: readonly string[];
}

/** Compares devices' own ledgers with everything that their Kafka topics hold, as `sluice drill` does. */
export function judge(
  accounts: ReadonlyMap<string, DeviceAccount>,
  records: readonly DeliveredRecord[],
): DeliveryVerdict {
  const judge = new DeliveryJudge(accounts, Infinity);
  for (const record of records) judge.take(record);
  const { lost, invented, repeated, disordered, scattered } = judge.verdict();
  return {
    lost: lost.examples,
    invented: invented.examples,
    repeated: repeated.examples,
    disordered: disordered.examples,
    scattered: scattered.examples,
  };
}

export const PERFECT: DeliveryVerdict = {
  lost: [],
  invented: [],
  repeated: [],
  disordered: [],
  scattered: [],
};
