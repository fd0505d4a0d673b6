import { SluiceError } from '../../core/errors.ts';
import type { TimeUnit } from '../../core/profile/normaliser-spec.ts';
import type { DeviceProfile, SimulationSpec } from '../../core/profile/profile.ts';
import { parseTopicPattern } from '../../core/topic-pattern.ts';
import { Random } from './random.ts';
import { Signal } from './signal.ts';

export interface DeviceMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/**
 * What a device keeps between its messages, of protocols in which a message means something only after those before
 * it: Sparkplug B. One for each device.
 */
export interface DeviceSession {
  /** Where its readings go, mostly. */
  readonly topic: string;
  /** Where it gets commands. */
  readonly commands: string;
  /** What the broker is to publish if the connection breaks that is about to be made. */
  will(atMs: number): DeviceMessage;
  /** What comes before all readings of a connection. */
  births(payload: PayloadObject, atMs: number): DeviceMessage[];
  reading(payload: PayloadObject, atMs: number): DeviceMessage;
  /** Whether a command asks for {@link births}. */
  asksForBirths(command: Uint8Array): boolean;
  /** What it says before it leaves. */
  death(atMs: number): DeviceMessage;
}

type PayloadValue = number | string | boolean | PayloadObject | PayloadValue[];

/** A payload before encoding: the fields of the device's own schema, nested as the schema nests them. */
export interface PayloadObject {
  [field: string]: PayloadValue;
}

/** A device type that can be simulated: its profile, and how its payloads are written. */
export type SimulatedType = { readonly profile: DeviceProfile } & (
  | { readonly encode: (payload: PayloadObject) => Uint8Array }
  /** Of protocols that are more than payloads; called once for each device, with its name. */
  | { readonly session: (device: string) => DeviceSession }
);

/** A fleet that can't be simulated as asked. Codes begin with `FLEET_`. */
export class FleetError extends SluiceError {}

/** Says of a profile that it can't be simulated. */
export function unfit(problem: string, options?: ErrorOptions): FleetError {
  return new FleetError('FLEET_PROFILE', problem, options);
}

/** Silences (lost coverage, a flat battery) last this many of a device's turns on average. */
const MEAN_SILENCE_TURNS = 8;

const UNITS_PER_MS: Readonly<Record<TimeUnit, number>> = { s: 1e-3, ms: 1, us: 1e3, ns: 1e6 };

/** One simulated device: its identity, and the readings that it would send. All of it follows from the seed. */
export class SimulatedDevice {
  /** The device id as the gateway will find it, from the topic or the payload. */
  readonly id: string;
  /** The device type. */
  readonly type: string;
  readonly topic: string;
  readonly #simulated: SimulatedType;
  readonly #name: string;
  readonly #random: Random;
  readonly #signals: readonly (readonly [path: FieldPath, signal: Signal])[];
  /** Of protocols that have one. */
  readonly session: DeviceSession | undefined;
  readonly #dropout: number;
  #silent = false;

  /** @throws {FleetError} `FLEET_PROFILE` when the profile has no `simulate:` section or one that can't work. */
  constructor(simulated: SimulatedType, number: number, options: { seed: number; prefix: string }) {
    const { profile } = simulated;
    const simulate = simulationOf(profile);
    this.#simulated = simulated;
    this.type = profile.type;
    this.#name = `${options.prefix}${profile.type}-${String(number).padStart(4, '0')}`;
    this.#random = new Random(options.seed, this.#name);
    this.#dropout = simulate.dropout;

    const levels = new Map<string, string>();
    const topic = this.#fillTopic(profile, simulate, levels);
    this.session = 'session' in simulated ? simulated.session(this.#name) : undefined;
    this.topic = this.session?.topic ?? topic;
    this.id = 'field' in profile.device ? this.#name : substitute(profile.device.template, levels);
    this.#signals = [...simulate.signals].map(([path, spec]) => [
      fieldPath(path),
      new Signal(spec, new Random(options.seed, `${this.#name}/${path}`)),
    ]);
  }

  /** Whether the device stays silent this turn. Silences come in bursts and take up the profile's share. */
  skipsTurn(): boolean {
    if (this.#dropout === 0) return false;
    const leave = 1 / MEAN_SILENCE_TURNS;
    // The share of turns in silence of this two-state chain is enter / (enter + leave).
    const enter = Math.min(1, (leave * this.#dropout) / (1 - this.#dropout));
    const toggles = this.#random.uniform() < (this.#silent ? leave : enter);
    if (toggles) this.#silent = !this.#silent;
    return this.#silent;
  }

  /** The encoded payload of the reading number `sequence`, taken at `atMs` (milliseconds since 1970). */
  read(sequence: number, atMs: number): Uint8Array {
    return this.message(sequence, atMs).payload;
  }

  /** The same with its topic. */
  message(sequence: number, atMs: number): DeviceMessage {
    const payload = this.#reading(sequence, atMs);
    const simulated = this.#simulated;
    return 'encode' in simulated
      ? { topic: this.topic, payload: simulated.encode(payload) }
      : (this.session as DeviceSession).reading(payload, atMs);
  }

  /** What comes before the readings of a connection, or is asked for by a command. */
  births(atMs: number): DeviceMessage[] {
    return this.session?.births(this.#reading(0, atMs), atMs) ?? [];
  }

  #reading(sequence: number, atMs: number): PayloadObject {
    const { profile } = this.#simulated;
    const payload: PayloadObject = {};
    for (const [path, signal] of this.#signals) put(payload, path, signal.read(atMs));
    if ('field' in profile.device) put(payload, fieldPath(profile.device.field), this.#name);
    if (profile.time !== undefined) {
      const { unit } = profile.time;
      const value = unit === undefined ? new Date(atMs).toISOString() : Math.floor(atMs * UNITS_PER_MS[unit]);
      put(payload, fieldPath(profile.time.field), value);
    }
    if (profile.sequence !== undefined) put(payload, fieldPath(profile.sequence.field), sequence);
    return payload;
  }

  /** Fills the pattern's levels: listed values where `levels:` has them, the device's own name elsewhere. */
  #fillTopic(profile: DeviceProfile, simulate: SimulationSpec, filled: Map<string, string>): string {
    const parsed = parseTopicPattern(profile.topic);
    if ('problem' in parsed) {
      const { found, expected } = parsed.problem;
      throw unfit(`${profile.file}: topic is ${found}; expected ${expected}`);
    }
    const levels = parsed.pattern.levels.map((level) => {
      if (level.kind === 'literal') return level.text;
      const name = 'name' in level ? level.name : undefined;
      const listed = name === undefined ? undefined : simulate.levels.get(name);
      const values = listed ?? (level.kind === 'choice' ? level.texts : undefined);
      const value = values === undefined ? this.#name : this.#random.pick(values);
      if (name !== undefined) filled.set(name, value);
      return value;
    });
    return levels.join('/');
  }
}

function simulationOf(profile: DeviceProfile): SimulationSpec {
  const { simulate } = profile;
  if (simulate === undefined) {
    const { type, file } = profile;
    throw unfit(`the profile ${type} (${file}) has no simulate: section; add one to simulate this type`);
  }
  for (const [name, values] of simulate.levels) {
    if (values.length === 0)
      throw unfit(`${profile.file}: simulate.levels.${name} has no values to pick from`);
  }
  if (!(simulate.dropout >= 0 && simulate.dropout < 1)) {
    const found = `simulate.dropout is ${simulate.dropout}`;
    throw unfit(`${profile.file}: ${found}; expected a share from 0 to below 1`);
  }
  return simulate;
}

function substitute(template: string, levels: ReadonlyMap<string, string>): string {
  return template.replaceAll(/\{([^}]*)\}/g, (_, name: string) => levels.get(name) ?? '');
}

/** `rxInfo[0].rssi` as rxInfo, 0, rssi. */
type FieldPath = readonly (string | number)[];

function fieldPath(path: string): FieldPath {
  return path.split('.').flatMap((part) => {
    const [name = '', ...indexes] = part.split(/\[(?=\d+\])/);
    return [name, ...indexes.map((index) => Number.parseInt(index, 10))];
  });
}

function put(payload: PayloadObject, path: FieldPath, value: number | string | boolean): void {
  let parent = payload as Record<string | number, PayloadValue>;
  for (const [depth, key] of path.slice(0, -1).entries()) {
    const child = parent[key];
    const next = typeof child === 'object' ? child : typeof path[depth + 1] === 'number' ? [] : {};
    parent[key] = next;
    parent = next as Record<string | number, PayloadValue>;
  }
  parent[path.at(-1) as string | number] = value;
}
