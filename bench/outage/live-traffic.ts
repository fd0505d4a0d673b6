import { Histogram, type Percentiles } from '../load/histogram.ts';
import { Load } from '../load/load.ts';
import type { SimulatedType } from '../../src/testbed/fleet/device.ts';

/** Device types of the two routes whose devices send all the time, and what they promise. */
export const LIVE_CONTRACTS = ['journal', 'kafka'] as const;
export type LiveContract = (typeof LIVE_CONTRACTS)[number];

export interface LiveTrafficOptions {
  readonly port: number;
  /** In the order of {@link LIVE_CONTRACTS}. */
  readonly types: readonly SimulatedType[];
  /** Of each contract. */
  readonly devices: number;
  /** Messages a second of each contract. */
  readonly rate: number;
}

/** PUBLISH to PUBACK of each contract's devices, and turns that devices could not take. */
export type LiveTimes = Readonly<Record<LiveContract, Percentiles & { readonly missed: number }>>;

const WINDOW = 20;
const FRAMES = 20_000;
/** A stretch ends with its last PUBACK: short enough to end soon after what is measured, long enough to be a load. */
const STRETCH_SECONDS = 2;

/** Devices that publish at an even pace on two routes to one topic, beside whatever else the gateway does. */
export class LiveTraffic {
  readonly #loads: readonly Load[];

  static async connect({ port, types, devices, rate }: LiveTrafficOptions): Promise<LiveTraffic> {
    const loads = types.map(
      (type) =>
        new Load({
          host: '127.0.0.1',
          port,
          devices,
          qos: 1,
          window: WINDOW,
          rate,
          types: [type],
          framesInAll: FRAMES,
          clientIds: `live-${type.profile.type}`,
        }),
    );
    await Promise.all(loads.map((load) => load.connect()));
    return new LiveTraffic(loads);
  }

  private constructor(loads: readonly Load[]) {
    this.#loads = loads;
  }

  /** Publishes until `isOver`, for a stretch at least. */
  async run(isOver: () => boolean): Promise<LiveTimes> {
    const results = await Promise.all(
      this.#loads.map(async (load) => {
        const times = new Histogram();
        let missed = 0;
        do {
          missed += (await load.run({ seconds: STRETCH_SECONDS }, { latency: times })).missed;
        } while (!isOver());
        return { ...times.percentiles(), missed };
      }),
    );
    return Object.fromEntries(
      LIVE_CONTRACTS.map((contract, i) => [contract, results[i]]),
    ) as unknown as LiveTimes;
  }

  async end(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.end()));
  }
}
