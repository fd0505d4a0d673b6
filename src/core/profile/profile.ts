import type { Contract } from '../contract.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import type { FilterSpec, MetricSpec, RegistrySpec, SequenceSpec, TimeSpec } from './normaliser-spec.ts';
import type { OutputSpec } from './output-spec.ts';

/**
 * What happens to a new record when the journal is full. `block`: it waits, and its device with it. `drop-oldest`:
 * the oldest records of its route go. `drop-newest`: the record itself goes. Dropped records were acknowledged,
 * and are counted.
 */
export const FULL_POLICIES = ['block', 'drop-oldest', 'drop-newest'] as const;
export type FullPolicy = (typeof FULL_POLICIES)[number];

/** A device type: one YAML file of the profiles folder, validated and with its paths resolved. */
export interface DeviceProfile {
  /** The file it was read from, as the user knows it. */
  readonly file: string;
  readonly type: string;
  /** Topic pattern with named levels, e.g. `fleet/{site}/{device}/telemetry`; see core/topic-pattern.ts. */
  readonly topic: string;
  /** Whether profiles with a less specific topic pattern are left out of the messages that this one matches. */
  readonly stop?: boolean;
  readonly decode: DecoderSpec;
  /** The device id: a template of topic levels (`{device}`), or a decoded field's path. */
  readonly device: { readonly template: string } | { readonly field: string };
  /** Event time; left out, the time of receipt. */
  readonly time?: TimeSpec;
  readonly sequence?: SequenceSpec;
  /** Constant attributes or templates of topic levels, by name. */
  readonly attributes: ReadonlyMap<string, string>;
  /** By name, in the order in which they stand in the envelope. */
  readonly metrics: ReadonlyMap<string, MetricSpec>;
  readonly filter?: FilterSpec;
  readonly registry?: RegistrySpec;
  readonly produce: OutputSpec;
  readonly ack: Contract;
  /** What happens to its records when the journal is full; left out, the configuration's default for all. */
  readonly whenFull?: FullPolicy;
  /** How a simulated device of this type behaves; read by the fleet alone. */
  readonly simulate?: SimulationSpec;
}

/** A simulated device: what its payload's fields do over time. */
export interface SimulationSpec {
  /** Values for the topic pattern's named levels besides the device, e.g. site: [north, south]. */
  readonly levels: ReadonlyMap<string, readonly string[]>;
  /** Payload field path -> signal. Time and sequence fields are filled by the simulator. */
  readonly signals: ReadonlyMap<string, SignalSpec>;
  /** Share of messages that a device leaves out, in bursts; 0 to 1. */
  readonly dropout: number;
}

/**
 * A signal: `base + amplitude * daily cycle + drift + noise`, limited to [min, max]; with `counter` it only
 * ever grows, by `base` an hour on average; with `choices` it is one of the given values.
 */
export interface SignalSpec {
  readonly base: number;
  /** Height of the daily cycle. */
  readonly amplitude: number;
  /** Hour of the day, 0 to 24, at which the cycle peaks. */
  readonly peakHour: number;
  /** Standard deviation of white noise. */
  readonly noise: number;
  /** Size of the slow random walk, per hour. */
  readonly drift: number;
  readonly min?: number;
  readonly max?: number;
  readonly counter: boolean;
  readonly integer: boolean;
  readonly choices?: readonly (string | boolean)[];
}
