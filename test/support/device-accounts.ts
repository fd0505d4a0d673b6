import { expect } from 'vitest';

import type { Clock } from '../../src/core/clock.ts';
import { timesSentAgain } from '../../src/testbed/drill/report/drill-result.ts';
import { FleetHistory } from '../../src/testbed/drill/fleet-history.ts';
import type { FleetObserver } from '../../src/testbed/fleet/member.ts';
import { PERFECT } from './delivery-verdict.ts';
import { judgeAndReport } from './fault-row.ts';
import type { ConsumedTelemetry } from './telemetry-topic.ts';
import type { Ends } from './topic-ends.ts';
import { WatchedLedger } from './watched-ledger.ts';

/**
 * What the journal may bring to Kafka again after a kill: what lies behind `from` (what was there before the last
 * checkpoint), and in front of `upTo` (what was there when the gateway was started again).
 */
export interface Relapse {
  readonly from: Ends;
  readonly upTo: Ends;
}

/** The devices' own accounts of a trial, with times: what Kafka is compared with. */
export class DeviceAccounts {
  readonly #clock: Clock;
  readonly #history: FleetHistory;
  readonly #ledger = new WatchedLedger();
  readonly #breaksAtMs: number[] = [];
  readonly #relapses: Relapse[] = [];

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
      this.#history.joined(device);
      this.#ledger.joined(device, type, topic);
    },
    sent: (device, sequence, payload) => {
      this.#history.sentOne(device, sequence);
      this.#ledger.sent(device, sequence, payload);
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

  /** The gateway was killed, and started again. */
  noteRelapse(relapse: Relapse): void {
    this.#relapses.push(relapse);
  }

  /** Compares with everything that Kafka holds of these devices, and enters it into the fault report. */
  judge(records: readonly ConsumedTelemetry[]): void {
    const sentAgain = new Map<string, number>();
    for (const [device, history] of this.#history.devices) {
      for (let index = 0; index < history.sentAtMs.length; index++) {
        const times = timesSentAgain(history, index, this.#breaksAtMs);
        if (times > 0) sentAgain.set(`${device}#${index + 1}`, times);
      }
    }
    const allowed = this.#replays(records, sentAgain);
    for (const [name, times] of sentAgain) add(allowed, name, times);
    const mayBeTwice = [...allowed.values()].reduce((sum, times) => sum + times, 0);
    const { repeated, ...verdict } = judgeAndReport(this.#ledger.accounts(), records, mayBeTwice);
    const unexplained = repeated.filter((name) => add(allowed, name, -1) < 0);
    const stories = unexplained.slice(0, 5).map((name) => this.#story(name, records));
    expect({ ...verdict, repeated: unexplained }, stories.join('\n')).toEqual(PERFECT);
  }

  /** Where the copies of a message are, and where the journal may have brought some again. */
  #story(name: string, records: readonly ConsumedTelemetry[]): string {
    const copies = records.filter(({ deviceId, sequence }) => `${deviceId}#${sequence}` === name);
    const partition = copies[0]?.partition ?? -1;
    const stretches = this.#relapses.map(
      ({ from, upTo }) => `${from.get(partition) ?? 0} to ${upTo.get(partition) ?? 0}`,
    );
    const offsets = copies.map(({ offset }) => offset);
    return `${name} is in partition ${partition} at ${offsets.join(', ')}; kills: ${stretches.join(', ')}`;
  }

  /**
   * How often the journal may have brought each message again: after each kill those copies that lie in its stretch, as
   * often at most as the journal has the message, which is once more for each time that its device sent it again.
   */
  #replays(
    records: readonly ConsumedTelemetry[],
    sentAgain: ReadonlyMap<string, number>,
  ): Map<string, number> {
    const allowed = new Map<string, number>();
    const journaled = records.filter(({ deviceType }) => deviceType.includes('journal'));
    for (const { from, upTo } of this.#relapses) {
      const copies = new Map<string, number>();
      for (const { deviceId, sequence, partition, offset } of journaled) {
        if (offset < (from.get(partition) ?? 0) || offset >= (upTo.get(partition) ?? 0)) continue;
        add(copies, `${deviceId}#${sequence}`, 1);
      }
      for (const [name, count] of copies) {
        add(allowed, name, Math.min(count, 1 + (sentAgain.get(name) ?? 0)));
      }
    }
    return allowed;
  }
}

/** The new count. */
function add(counts: Map<string, number>, name: string, more: number): number {
  const count = (counts.get(name) ?? 0) + more;
  counts.set(name, count);
  return count;
}
