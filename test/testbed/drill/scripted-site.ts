import type { DeliveredRecord } from '../../../src/testbed/drill/delivery-judge.ts';
import type { DrillFleet, DrillSite } from '../../../src/testbed/drill/drill.ts';
import type { FleetHistory } from '../../../src/testbed/drill/fleet-history.ts';
import type { WireState } from '../../../src/testbed/drill/tcp-proxy.ts';
import type { ManualClock } from '../fleet/manual-clock.ts';

const EVERY_MS = 100;

/**
 * A world of two devices that publish every 100 ms and are acknowledged at once while Kafka's wire is open, or
 * when it is opened again. What it does wrong, a test tells it.
 */
export class ScriptedSite implements DrillSite {
  readonly events: string[] = [];
  readonly #clock: ManualClock;
  readonly #failure = new AbortController();
  readonly signal = this.#failure.signal;
  readonly #kafka: DeliveredRecord[] = [];
  readonly #open: (readonly [device: string, sequence: number])[] = [];
  #history: FleetHistory | undefined;
  #isOpen = true;
  #runs = false;
  #publishes = true;
  #sequence = 0;
  /** Acknowledges nothing, from now on. */
  isMute = false;
  /** Takes this one out of Kafka. */
  loses: DeliveredRecord | undefined;
  refused = 0;
  exit: number | string = 0;
  deadLetters = 0;
  /** Kafka is always so many records behind. */
  lag = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  readonly kafkaWire = {
    setState: (state: WireState): void => {
      this.events.push(`kafka ${state.kind}`);
      this.#isOpen = state.kind === 'open';
      this.#deliver();
    },
  };

  readonly deviceWire = {
    setState: (state: WireState): void => {
      this.events.push(`devices ${state.kind}`);
    },
    resetAll: (): void => {
      this.events.push('devices reset');
      for (const device of ['a', 'b']) this.#history?.connectionLost(device);
    },
  };

  startGateway(): Promise<void> {
    this.events.push('start');
    this.#runs = true;
    this.#deliver();
    return Promise.resolve();
  }

  killGateway(): Promise<void> {
    this.events.push('kill');
    this.#runs = false;
    return Promise.resolve();
  }

  stopGateway(): Promise<number | string> {
    this.events.push('stop');
    return Promise.resolve(this.exit);
  }

  residentBytes(): number {
    return 100 * 2 ** 20;
  }

  fail(error: Error): void {
    this.#failure.abort(error);
  }

  startFleet(history: FleetHistory): DrillFleet {
    this.#history = history;
    for (const device of ['a', 'b']) history.joined(device);
    this.#turn();
    return {
      snapshot: () => ({ connected: 2, refused: this.refused, waiting: 0, trouble: undefined }),
      stop: () => {
        this.#publishes = false;
        return Promise.resolve();
      },
    };
  }

  recordsInKafka(): Promise<number> {
    return Promise.resolve(this.#kafka.length - this.lag);
  }

  readBack(take: (record: DeliveredRecord) => void): Promise<number> {
    this.events.push('read');
    for (const record of this.#kafka) {
      const isLost = record.deviceId === this.loses?.deviceId && record.sequence === this.loses.sequence;
      if (!isLost) take(record);
    }
    return Promise.resolve(this.deadLetters);
  }

  #turn(): void {
    if (!this.#publishes) return;
    this.#sequence++;
    for (const device of ['a', 'b']) {
      this.#history?.sentOne(device, this.#sequence);
      this.#open.push([device, this.#sequence]);
    }
    this.#deliver();
    this.#clock.schedule(() => {
      this.#turn();
    }, EVERY_MS);
  }

  #deliver(): void {
    if (!this.#isOpen || !this.#runs || this.isMute) return;
    for (const [deviceId, sequence] of this.#open.splice(0)) {
      this.#kafka.push({ deviceId, sequence, partition: deviceId === 'a' ? 0 : 1 });
      this.#history?.acknowledgedOne(deviceId, sequence);
    }
  }
}
