import type { Clock } from '../../core/clock.ts';

/** What one device did; its messages are numbered from 1, message n stands at index n - 1. Monotonic times. */
export interface DeviceHistory {
  readonly sentAtMs: readonly number[];
  /** Infinity: not acknowledged. */
  readonly acknowledgedAtMs: readonly number[];
  /** When its connection ended without being asked to. */
  readonly lostAtMs: readonly number[];
}

interface OpenHistory extends DeviceHistory {
  readonly sentAtMs: number[];
  readonly acknowledgedAtMs: number[];
  readonly lostAtMs: number[];
  /** Every message before this index is acknowledged. */
  settled: number;
}

/**
 * The devices' own account of a drill, with times: it watches a fleet from the outside, and is what Kafka is
 * compared with. Sixteen bytes a message. Its public fields are read by others and written by itself alone.
 */
export class FleetHistory {
  readonly #clock: Clock;
  /** By device id. */
  readonly devices = new Map<string, OpenHistory>();
  sent = 0;
  acknowledged = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly joined = (device: string): void => {
    this.devices.set(device, { sentAtMs: [], acknowledgedAtMs: [], lostAtMs: [], settled: 0 });
  };

  readonly sentOne = (device: string, sequence: number): void => {
    const history = this.#of(device);
    history.sentAtMs[sequence - 1] = this.#clock.monotonicMs();
    history.acknowledgedAtMs[sequence - 1] = Number.POSITIVE_INFINITY;
    this.sent++;
  };

  readonly acknowledgedOne = (device: string, sequence: number): void => {
    this.#of(device).acknowledgedAtMs[sequence - 1] = this.#clock.monotonicMs();
    this.acknowledged++;
  };

  readonly connectionLost = (device: string): void => {
    this.#of(device).lostAtMs.push(this.#clock.monotonicMs());
  };

  /** Whether everything that was sent before this moment is acknowledged. */
  isSettled(beforeMs: number): boolean {
    for (const history of this.devices.values()) {
      const { sentAtMs, acknowledgedAtMs } = history;
      while ((acknowledgedAtMs[history.settled] ?? Infinity) < Infinity) history.settled++;
      if ((sentAtMs[history.settled] ?? Infinity) < beforeMs) return false;
    }
    return true;
  }

  #of(device: string): OpenHistory {
    const history = this.devices.get(device);
    if (history === undefined) throw new RangeError(`the device ${device} never joined`);
    return history;
  }
}
