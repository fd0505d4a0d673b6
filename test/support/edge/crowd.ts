import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { EdgeDevice } from './device.ts';

/** Devices that do the same. */
export interface GroupSpec {
  readonly name: string;
  readonly devices: readonly string[];
  /** Messages a second of each device; 0: as many as its window allows. */
  readonly ratePerDevice: number;
  /** Most messages without PUBACK; 0: QoS 0, as much as the socket takes. */
  readonly window: number;
}

export interface CrowdSpec {
  readonly port: number;
  readonly payloadBytes: number;
  readonly groups: readonly GroupSpec[];
}

export interface GroupFigures {
  readonly up: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly inFlight: number;
  readonly lostConnections: number;
  readonly pongs: number;
  /** PUBLISH to PUBACK under the present mark, milliseconds; undefined without any. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly maxMs: number | undefined;
}

/** What the process with the devices can be told to do. */
export type CrowdOrder =
  | { readonly order: 'connect'; readonly spec: CrowdSpec }
  /** `groups`: only these publish from now on. */
  | { readonly order: 'publish'; readonly groups: readonly string[] }
  /** Latencies are counted under this name from now on; they go on where it was used before. */
  | { readonly order: 'mark'; readonly name: string }
  | { readonly order: 'figures' }
  /** Every connection is cut, at once. */
  | { readonly order: 'storm' }
  | { readonly order: 'ping' }
  /** How much each device has sent that is owed an answer. */
  | { readonly order: 'ledger' };

export type CrowdAnswer =
  Readonly<Record<string, GroupFigures>> | readonly (readonly [device: string, sent: number])[] | null;

const TICK_MS = 5;
/** Connections being opened at the same time, at first; in a storm all of them are. */
const CONNECTING_AT_ONCE = 200;
/** The first try after a loss comes at once, the further ones later and later, as devices do it that behave. */
const RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 5_000;

class Group {
  readonly spec: GroupSpec;
  readonly devices: readonly EdgeDevice[];
  latency: RecordableHistogram = createHistogram();
  readonly #latencies = new Map<string, RecordableHistogram>();
  isPublishing = false;
  lostConnections = 0;
  #turn = 0;
  #owed = 0;

  constructor(spec: GroupSpec, { port, payloadBytes }: CrowdSpec) {
    this.spec = spec;
    this.devices = spec.devices.map(
      (name) =>
        new EdgeDevice(name, {
          port,
          payloadBytes,
          topicPrefix: `edge/${spec.name}/`,
          window: spec.window,
          onAcknowledged: (device, latencyMs) => {
            this.latency.record(Math.max(1, Math.round(latencyMs * 1_000)));
            if (this.isPublishing && spec.ratePerDevice === 0) device.publish();
          },
          onClosed: (device) => {
            if (device.failures === 0) this.lostConnections++;
            const backoffMs = Math.min(MAX_RECONNECT_MS, RECONNECT_MS * 2 ** device.failures);
            setTimeout(
              () => {
                device.connect();
              },
              backoffMs * (0.5 + Math.random() / 2),
            );
          },
        }),
    );
  }

  mark(name: string): void {
    this.latency = this.#latencies.get(name) ?? createHistogram();
    this.#latencies.set(name, this.latency);
  }

  tick(elapsedMs: number): void {
    if (!this.isPublishing) return;
    const { ratePerDevice } = this.spec;
    if (ratePerDevice === 0) {
      for (const device of this.devices) while (device.publish());
      return;
    }
    this.#owed += (this.devices.length * ratePerDevice * elapsedMs) / 1_000;
    // A turn that can't be taken is left out: a device that must wait sends its next reading later.
    for (; this.#owed >= 1; this.#owed--) {
      this.devices[this.#turn]!.publish();
      this.#turn = (this.#turn + 1) % this.devices.length;
    }
  }

  figures(): GroupFigures {
    const sum = (of: (device: EdgeDevice) => number): number =>
      this.devices.reduce((total, device) => total + of(device), 0);
    const at = (percentile: number): number | undefined =>
      this.latency.count === 0 ? undefined : this.latency.percentile(percentile) / 1_000;
    return {
      up: sum(({ isUp }) => Number(isUp)),
      sent: sum(({ sent }) => sent),
      acknowledged: sum(({ acknowledged }) => acknowledged),
      inFlight: sum(({ inFlight }) => inFlight),
      lostConnections: this.lostConnections,
      pongs: sum(({ pongs }) => pongs),
      p50Ms: at(50),
      p99Ms: at(99),
      maxMs: this.latency.count === 0 ? undefined : this.latency.max / 1_000,
    };
  }
}

/** Groups of devices in front of one gateway. */
export class Crowd {
  #groups: readonly Group[] = [];
  #lastTickMs = performance.now();

  async obey(order: CrowdOrder): Promise<CrowdAnswer> {
    switch (order.order) {
      case 'connect':
        await this.#connect(order.spec);
        return null;
      case 'publish':
        for (const group of this.#groups) group.isPublishing = order.groups.includes(group.spec.name);
        return null;
      case 'mark':
        for (const group of this.#groups) group.mark(order.name);
        return null;
      case 'figures':
        return Object.fromEntries(this.#groups.map((group) => [group.spec.name, group.figures()]));
      case 'storm':
        for (const device of this.#devices()) device.drop();
        return null;
      case 'ping':
        for (const device of this.#devices()) device.ping();
        return null;
      case 'ledger':
        return this.#groups
          .filter(({ spec }) => spec.window > 0)
          .flatMap(({ devices }) => devices.map(({ name, sent }) => [name, sent] as const));
    }
  }

  #devices(): EdgeDevice[] {
    return this.#groups.flatMap(({ devices }) => devices);
  }

  async #connect(spec: CrowdSpec): Promise<void> {
    this.#groups = spec.groups.map((group) => new Group(group, spec));
    const devices = this.#devices();
    for (let next = 0; next < devices.length; next += CONNECTING_AT_ONCE) {
      const some = devices.slice(next, next + CONNECTING_AT_ONCE);
      for (const device of some) device.connect();
      while (!some.every(({ isUp }) => isUp)) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#lastTickMs = performance.now();
    setInterval(() => {
      const now = performance.now();
      for (const group of this.#groups) group.tick(now - this.#lastTickMs);
      this.#lastTickMs = now;
    }, TICK_MS);
  }
}
