import { expect } from 'vitest';

import type { Clock } from '../../src/core/clock.ts';
import { DeliveryJudge } from '../../src/drill/delivery-judge.ts';
import { explainRepeats } from '../../src/drill/figures.ts';
import { FleetHistory, type DeviceHistory } from '../../src/drill/fleet-history.ts';
import { FleetLedger, type FleetObserver } from '../../src/fleet/ledger.ts';
import { PERFECT } from './delivery-verdict.ts';
import { judgeAndReport } from './fault-row.ts';
import type { ConsumedTelemetry } from './telemetry-topic.ts';

/**
 * How long before a kill the last checkpoint may lie. One is due every second; on a disk and a processor that others
 * use it may be as late as this.
 */
const CHECKPOINT_MS = 10_000;

/** The devices' own accounts of a trial, with times: what Kafka is compared with. */
export class DeviceAccounts {
  readonly #clock: Clock;
  readonly #history: FleetHistory;
  readonly #ledger = new FleetLedger();
  /** By device id. */
  readonly #types = new Map<string, string>();
  readonly #breaksAtMs: number[] = [];
  readonly #killsAtMs: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#history = new FleetHistory(clock);
  }

  get sent(): number {
    return this.#history.sent;
  }

  get acknowledged(): number {
    return this.#history.acknowledged;
  }

  /** Connections that ended without being asked to, of each device. */
  get lostConnections(): readonly number[] {
    return [...this.#history.devices.values()].map(({ lostAtMs }) => lostAtMs.length);
  }

  /** Whether everything that was sent before this moment is acknowledged. */
  isSettled(beforeMs: number): boolean {
    return this.#history.isSettled(beforeMs);
  }

  readonly observer: FleetObserver = {
    joined: (device, type, topic) => {
      this.#types.set(device, type);
      this.#history.joined(device);
      this.#ledger.joined(device, type, topic);
    },
    sent: (device, sequence) => {
      this.#history.sentOne(device, sequence);
      this.#ledger.sent(device, sequence);
    },
    acknowledged: (device, sequence) => {
      this.#history.acknowledgedOne(device, sequence);
      this.#ledger.acknowledged(device, sequence);
    },
    connectionLost: (device) => {
      this.#history.connectionLost(device);
      this.#ledger.connectionLost(device);
    },
  };

  /** Something is about to happen to connections: devices may send again what is on its way. */
  noteBreak(): void {
    this.#breaksAtMs.push(this.#clock.monotonicMs());
  }

  /** The gateway is about to be killed: its journal may send again what Kafka took since the last checkpoint. */
  noteKill(): void {
    this.noteBreak();
    this.#killsAtMs.push(this.#clock.monotonicMs());
  }

  /** Compares with everything that Kafka holds of these devices, and enters it into the fault report. */
  judge(records: readonly ConsumedTelemetry[]): void {
    const verdict = judgeAndReport(this.#ledger.accounts(), records);
    const judge = new DeliveryJudge(this.#ledger.accounts());
    for (const record of records) judge.take(record);
    const unexplained = [...Map.groupBy(this.#history.devices, ([device]) => this.#types.get(device) ?? '')]
      .map(([type, ofType]) => ({ type, devices: new Map(ofType) }))
      .map(({ type, devices }) => {
        const bound = type.includes('journal') ? this.#replayBound(devices) : 0;
        return { type, ...explainRepeats(judge, devices, this.#breaksAtMs, bound).unexplained };
      })
      .filter(({ count }) => count > 0);
    expect({ ...verdict, repeated: unexplained }).toEqual(PERFECT);
  }

  /** What these devices had sent since the last checkpoint before each kill. */
  #replayBound(devices: ReadonlyMap<string, DeviceHistory>): number {
    return this.#killsAtMs
      .map((killMs) =>
        [...devices.values()].map(
          ({ sentAtMs }) => sentAtMs.filter((ms) => ms > killMs - CHECKPOINT_MS && ms <= killMs).length,
        ),
      )
      .flat()
      .reduce((sum, count) => sum + count, 0);
  }
}
