import type { DeviceAccount } from '../../src/fleet/ledger.ts';
import type { ConsumedTelemetry } from './telemetry-topic.ts';

/** What Kafka holds beside what the devices know. Empty lists are good news. */
export interface DeliveryVerdict {
  /** Acknowledged to the device, and not in Kafka: `device#sequence`. */
  readonly lost: readonly string[];
  /** In Kafka, and never sent. */
  readonly invented: readonly string[];
  /** In Kafka more than once. */
  readonly repeated: readonly string[];
  /** First occurrences that stand behind a later message of the same device. */
  readonly disordered: readonly string[];
  /** Devices whose records are spread over several partitions. */
  readonly scattered: readonly string[];
}

/** Compares devices' own ledgers with everything that their Kafka topics hold. */
export function judge(
  accounts: ReadonlyMap<string, Readonly<DeviceAccount>>,
  records: readonly ConsumedTelemetry[],
): DeliveryVerdict {
  const verdict = {
    lost: [] as string[],
    invented: [] as string[],
    repeated: [] as string[],
    disordered: [] as string[],
    scattered: [] as string[],
  };
  const byDevice = new Map<string, ConsumedTelemetry[]>();
  for (const record of records) {
    const list = byDevice.get(record.deviceId) ?? [];
    list.push(record);
    byDevice.set(record.deviceId, list);
  }

  for (const [device, list] of byDevice) {
    const sent = accounts.get(device)?.sent ?? 0;
    const seen = new Set<number>();
    let latest = 0;
    for (const { sequence } of list) {
      const name = `${device}#${sequence}`;
      if (sequence < 1 || sequence > sent) verdict.invented.push(name);
      if (seen.has(sequence)) verdict.repeated.push(name);
      else if (sequence < latest) verdict.disordered.push(name);
      seen.add(sequence);
      latest = Math.max(latest, sequence);
    }
    if (new Set(list.map(({ partition }) => partition)).size > 1) verdict.scattered.push(device);
  }

  for (const [device, account] of accounts) {
    const inKafka = new Set((byDevice.get(device) ?? []).map(({ sequence }) => sequence));
    verdict.lost.push(
      ...account.acknowledged
        .filter((sequence) => !inKafka.has(sequence))
        .map((sequence) => `${device}#${sequence}`),
    );
  }
  return verdict;
}

export const PERFECT: DeliveryVerdict = {
  lost: [],
  invented: [],
  repeated: [],
  disordered: [],
  scattered: [],
};
