import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import protobuf from 'protobufjs';

import { DeliveryJudge } from '../../src/testbed/drill/delivery-judge.ts';
import type { ConsumedTelemetry } from './telemetry-topic.ts';
import type { WatchedAccount } from './watched-ledger.ts';

/** What Kafka holds beside what the devices know, all of it by name. Empty lists are good news. */
export interface DeliveryVerdict {
  readonly lost: readonly string[];
  readonly invented: readonly string[];
  /** There, and not what the device said: key, time or values differ. */
  readonly wrong: readonly string[];
  readonly repeated: readonly string[];
  readonly disordered: readonly string[];
  readonly scattered: readonly string[];
}

/** Compares the ledgers of environment sensors with everything that their Kafka topics hold. */
export function judge(
  accounts: ReadonlyMap<string, WatchedAccount>,
  records: readonly ConsumedTelemetry[],
): DeliveryVerdict {
  const judge = new DeliveryJudge(accounts, Infinity);
  for (const record of records) judge.take(record);
  const { lost, invented, repeated, disordered, scattered } = judge.verdict();
  return {
    lost: lost.examples,
    invented: invented.examples,
    wrong: records
      .filter((record) => isWrong(record, accounts.get(record.deviceId)))
      .map(({ deviceId, sequence }) => `${deviceId}#${sequence}`),
    repeated: repeated.examples,
    disordered: disordered.examples,
    scattered: scattered.examples,
  };
}

const SCHEMA = resolve(import.meta.dirname, '../../proto/devices/env_sensor.proto');
const EnvSensor = protobuf.parse(readFileSync(SCHEMA, 'utf8')).root.lookupType('fleet.EnvSensor');
/** Metrics of the profiles, by the fields of the payload. */
const METRICS: Readonly<Record<string, string>> = {
  temp: 'temperature',
  hum: 'humidity',
  pressure: 'pressure',
  co2: 'co2',
  battery: 'battery',
};

/** What was never sent is `invented`, and not called wrong too. */
function isWrong(record: ConsumedTelemetry, account: WatchedAccount | undefined): boolean {
  const payload = account?.payloads[record.sequence - 1];
  if (account === undefined || payload === undefined) return false;
  const { ts, seq, ...signals } = EnvSensor.toObject(EnvSensor.decode(payload), { longs: Number });
  const said = {
    key: record.deviceId,
    deviceType: account.type,
    sequence: seq as unknown,
    observedAtMs: ts as unknown,
    metrics: Object.entries(signals).map(([field, value]) => [METRICS[field], value as unknown]),
  };
  const { key, deviceType, sequence, observedAtMs, metrics } = record;
  return !isDeepStrictEqual({ key, deviceType, sequence, observedAtMs, metrics }, said);
}

export const PERFECT: DeliveryVerdict = {
  lost: [],
  invented: [],
  wrong: [],
  repeated: [],
  disordered: [],
  scattered: [],
};
