import type { QoS } from '../../src/core/publication.ts';
import type { SimulatedType } from '../../src/testbed/fleet/device.ts';
import { Pacer } from '../../src/testbed/fleet/pacer.ts';
import { LoadDevice } from './device.ts';
import { encodeRing } from './frames.ts';
import { Histogram } from './histogram.ts';
import type { Percentiles } from './histogram.ts';

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  /** Left out, plain TCP. */
  readonly tls?: boolean;
  readonly devices: number;
  readonly qos: QoS;
  /** QoS 1: most messages of a device in flight. QoS 0: most messages a write. */
  readonly window: number;
  /** Messages a second of all devices, one message a write; 0: as fast as the windows allow. */
  readonly rate: number;
  readonly types: readonly SimulatedType[];
  /** Messages that are encoded before the first one is sent; each device repeats its share of them. */
  readonly framesInAll?: number;
  /** What the devices' client ids begin with, where several loads connect to one broker; left out, `load`. */
  readonly clientIds?: string;
}

/** How long a phase sends: so many messages, or so many seconds. */
export type PhaseLength = { readonly messages: number } | { readonly seconds: number };

/** What one phase has of its own. */
export interface PhaseOptions {
  /** Left out, the load's. */
  readonly rate?: number | undefined;
  /** Where its times go. */
  readonly latency?: Histogram;
}

/** One stretch of load, from the first PUBLISH to the last PUBACK (QoS 0: to the last write). */
export interface PhaseResult {
  readonly sent: number;
  readonly acknowledged: number;
  readonly elapsedMs: number;
  /** Paced load only: turns that a device could not take, for its full window or because we were too late. */
  readonly missed: number;
  /** PUBLISH to PUBACK; nothing at QoS 0. */
  readonly latency: Percentiles;
}

/** Frames of all rings together: enough variety for a compressor, and some 25 MB. */
const FRAMES_IN_ALL = 200_000;
const MOST_IN_RING = 4_096;
const CONNECTING_AT_ONCE = 100;
const PACE_TICK_MS = 1;
const END_TIMEOUT_MS = 30_000;

/** A load of many raw MQTT connections, run in phases: warm up, measure. */
export class Load {
  readonly #options: LoadOptions;
  readonly #devices: LoadDevice[] = [];
  /** Of the phase that runs. */
  #rate = 0;
  #unsent = 0;
  #unacknowledged = 0;
  #sent = 0;
  #acknowledged = 0;
  #missed = 0;
  #phase = Promise.withResolvers<undefined>();
  #open = 0;
  #allClosed = Promise.withResolvers<undefined>();

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#phase.promise.catch(() => undefined);
  }

  /** Encodes all messages and opens all connections. Rejects when the bridge doesn't accept one. */
  async connect(): Promise<void> {
    const {
      devices,
      types,
      window,
      qos,
      host,
      port,
      tls = false,
      framesInAll = FRAMES_IN_ALL,
      clientIds = 'load',
    } = this.#options;
    const length = Math.min(MOST_IN_RING, Math.max(2 * window, Math.ceil(framesInAll / devices)));
    const nowMs = Date.now();
    for (let begin = 0; begin < devices; begin += CONNECTING_AT_ONCE) {
      const some = Array.from({ length: Math.min(CONNECTING_AT_ONCE, devices - begin) }, (_, i) => begin + i);
      await Promise.all(
        some.map((index) => {
          const type = types[index % types.length] as SimulatedType;
          const ring = encodeRing({ type, number: index + 1, qos, length, nowMs });
          const device = new LoadDevice(
            { host, port, tls, clientId: `${clientIds}-${index + 1}`, qos, ring, window },
            this,
          );
          this.#devices.push(device);
          this.#open++;
          return device.connected();
        }),
      );
    }
  }

  /** Sends messages over all devices for so long, and waits for their acknowledgements. */
  async run(length: PhaseLength, phase: PhaseOptions = {}): Promise<PhaseResult> {
    const { rate = this.#options.rate, latency = new Histogram() } = phase;
    for (const device of this.#devices) device.measureInto(latency);
    this.#phase = Promise.withResolvers<undefined>();
    this.#unsent = 'messages' in length ? length.messages : Infinity;
    this.#unacknowledged = 0;
    this.#sent = 0;
    this.#acknowledged = 0;
    this.#missed = 0;
    this.#rate = rate;
    const startMs = performance.now();
    const endPacing = rate > 0 ? this.#pace(startMs) : this.#fill();
    const timeUp =
      'seconds' in length
        ? setTimeout(() => {
            this.#unsent = 0;
            this.#settle(0);
          }, length.seconds * 1000)
        : undefined;
    try {
      await this.#phase.promise;
    } finally {
      clearTimeout(timeUp);
      endPacing();
    }
    return {
      sent: this.#sent,
      acknowledged: this.#acknowledged,
      elapsedMs: performance.now() - startMs,
      missed: this.#missed,
      latency: latency.percentiles(),
    };
  }

  /** Sends DISCONNECT on every connection, and waits until the bridge has closed them all. */
  async end(): Promise<void> {
    if (this.#open === 0) return;
    for (const device of this.#devices) device.disconnect();
    const timer = setTimeout(() => {
      for (const device of this.#devices) device.destroy();
    }, END_TIMEOUT_MS);
    await this.#allClosed.promise;
    clearTimeout(timer);
  }

  room(device: LoadDevice, acknowledged: number): void {
    if (this.#options.qos > 0) this.#settle(acknowledged);
    if (this.#rate === 0) this.#send(device, this.#unsent);
  }

  closed(_device: LoadDevice, error: Error | undefined): void {
    this.#open--;
    if (error !== undefined) this.#phase.reject(error);
    if (this.#open === 0) this.#allClosed.resolve(undefined);
  }

  #send(device: LoadDevice, most: number): number {
    const sent = most > 0 ? device.send(most) : 0;
    this.#unsent -= sent;
    this.#sent += sent;
    this.#unacknowledged += sent;
    if (this.#options.qos === 0) this.#settle(sent);
    return sent;
  }

  #settle(count: number): void {
    if (this.#options.qos > 0) this.#acknowledged += count;
    this.#unacknowledged -= count;
    if (this.#unacknowledged === 0 && this.#unsent === 0) this.#phase.resolve(undefined);
  }

  /** Saturation: each device keeps its window full, by its own PUBACKs. */
  #fill(): () => void {
    if (this.#options.qos > 0) {
      for (const device of this.#devices) this.#send(device, this.#unsent);
      return () => {};
    }
    // At QoS 0 a socket that takes everything at once never drains: look again each turn of the event loop.
    let again: NodeJS.Immediate;
    const fill = (): void => {
      for (const device of this.#devices) this.#send(device, this.#unsent);
      again = setImmediate(fill);
    };
    fill();
    return () => {
      clearImmediate(again);
    };
  }

  /** A real fleet: one message of one device at a time, evenly spread. */
  #pace(startMs: number): () => void {
    const pacer = new Pacer(this.#rate, startMs);
    let turn = 0;
    const timer = setInterval(() => {
      const { due, over } = pacer.take(performance.now());
      this.#missed += over;
      for (let i = 0; i < due && this.#unsent > 0; i++) {
        const device = this.#devices[turn] as LoadDevice;
        turn = (turn + 1) % this.#devices.length;
        if (this.#send(device, 1) === 0) this.#missed++;
      }
    }, PACE_TICK_MS);
    return () => {
      clearInterval(timer);
    };
  }
}
