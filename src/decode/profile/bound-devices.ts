import type { BoundDevice } from './device-bindings.ts';

/** Devices that are kept at least, once so many were bound; some 10 MB with those that may be kept besides. */
const CAPACITY = 10_000;

type ByTopic = Map<object, Map<string, BoundDevice>>;

/**
 * Devices that were bound lately, of all topics of a profile on which several of them take turns: binding one costs
 * as much as a whole message. Bounded: when the newer half is full, the older one is forgotten.
 */
export class BoundDevices {
  readonly #capacity: number;
  #newer: ByTopic = new Map();
  #older: ByTopic = new Map();
  #newerSize = 0;

  constructor(capacity = CAPACITY) {
    this.#capacity = capacity;
  }

  /** How many are kept; one that is in both halves counts twice. */
  get size(): number {
    return [this.#newer, this.#older]
      .flatMap((half) => [...half.values()])
      .reduce((sum, { size }) => sum + size, 0);
  }

  /** `topic` stands for the topic, compared by identity. */
  find(topic: object, id: string): BoundDevice | undefined {
    const device = this.#newer.get(topic)?.get(id);
    if (device !== undefined) return device;
    const old = this.#older.get(topic)?.get(id);
    if (old !== undefined) this.keep(topic, old);
    return old;
  }

  /** In place of what was kept of the device before. */
  keep(topic: object, device: BoundDevice): void {
    if (this.#newerSize >= this.#capacity) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#newerSize = 0;
    }
    let devices = this.#newer.get(topic);
    if (devices === undefined) {
      devices = new Map();
      this.#newer.set(topic, devices);
    }
    if (!devices.has(device.id)) this.#newerSize++;
    devices.set(device.id, device);
  }
}
