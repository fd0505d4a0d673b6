import type { Clock } from './clock.ts';
import type { Contract } from './contract.ts';
import type { Publication } from './publication.ts';
import type { SerializedRecord } from './record.ts';

/** Why a publication could not become a record. `code` is stable, for headers and metrics. */
export interface DecodeFault {
  readonly code: string;
  readonly message: string;
}

/*
 * What else a route may say of a publication than that it is a record. Told apart by identity; shaped like a
 * fault so that a route has one type of answer.
 */

/** Understood, and by the profile's own rules not worth a record: the device is acknowledged at once. */
export const FILTERED: DecodeFault = { code: 'FILTERED', message: 'filtered by its device profile' };

/** Understood, and by the profile's own rules not taken: the device's connection is closed. */
export const REFUSED: DecodeFault = { code: 'REFUSED', message: 'refused by its device profile' };

/** Something that the route needs is not there yet; see {@link Route.whenReady}. */
export const NOT_READY: DecodeFault = { code: 'NOT_READY', message: 'not ready yet' };

/** A device profile bound to one topic: everything that is known before a payload is looked at. */
export interface Route {
  /** The device type, as the profile names it. */
  readonly profile: string;
  /** The profile's topic pattern, for dead letters. */
  readonly pattern?: string;
  /** What its devices are promised. */
  readonly contract: Contract;
  /** The Kafka topic of what decodes, and of what doesn't. */
  readonly topic: string;
  readonly deadLetterTopic: string;
  /**
   * Decodes and normalises the publication into `record`, whose fields are valid until the next call of any
   * route. Returns undefined, or why it could not: the payload's fault, or {@link FILTERED},
   * {@link REFUSED}, {@link NOT_READY}. Never throws. May be called again for the same publication, if there
   * was no room for the record: what it remembers of a device changes only with {@link taken}.
   */
  toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined;
  /**
   * What the last call of `toRecord` said has come true: the record, or its dead letter, has been taken on, or
   * the publication was filtered or refused. Called once a record.
   */
  taken(): void;
  /** Calls back once, when what {@link NOT_READY} was about is worth another try. */
  whenReady(callback: () => void): void;
  /** Where a payload may hold several readings, each a record of its own. */
  readonly batch?: Batch | undefined;
}

/** A payload that holds any number of readings, taken apart: `open`, then any of its readings, then `close`. */
export interface Batch {
  /**
   * Takes the payload apart. Returns how many records it becomes, also none, or why it can't be read or isn't
   * wanted, as `toRecord` does. Until `close` the route keeps the payload. Never throws.
   */
  open(publication: Publication): number | DecodeFault;
  /** The reading that `toRecord` converts next; from 0. */
  select(index: number): void;
  /** The index of the selected reading; undefined before the first {@link select}, and after `close`. */
  readonly selected: number | undefined;
  /**
   * A payload that holds the selected reading alone, for its dead letter: `open` says 1 of it. undefined: there is
   * no such payload but the whole one, or nothing is selected.
   */
  alone(): Uint8Array | undefined;
  close(): void;
}

/** The Kafka topic of what could not become a record of `topic`. */
export function deadLetterTopicOf(topic: string): string {
  return `${topic}.dlq`;
}

/*
 * What the routes of a device profile ask of the rest of the gateway. All answers are immediate: a message
 * waits for nobody's promise.
 */

/** What is known of devices from elsewhere. */
export interface DeviceLookup {
  /** Grows whenever an answer may have changed. */
  readonly version: number;
  /** The device's columns by name; undefined: the device is not known. */
  find(deviceId: string): ReadonlyMap<string, string> | undefined;
}

/** Who may write to which Kafka topics, where messages name them. */
export interface TopicAdmission {
  /** Whether records may go to the topic; from then on the gateway sees to it that it exists. */
  admit(topic: string): boolean;
}

/** The bytes that stand before a value, so that consumers find its schema. */
export interface ValueFraming {
  /** undefined: not known yet, see {@link whenReady}. */
  prefix(topic: string): Uint8Array | DecodeFault | undefined;
  /** Calls back once, when another question is worthwhile. */
  whenReady(callback: () => void): void;
}

/** Messages to devices, by way of the gateway's own MQTT broker: at most once, to whoever is connected. */
export interface DeviceCommands {
  publish(topic: string, payload: Uint8Array): void;
}

export interface RouteServices {
  /** Where its decoder talks back: Sparkplug B. */
  readonly commands?: DeviceCommands;
  readonly clock?: Clock;
  /** Where the profile has a registry. */
  readonly devices?: DeviceLookup;
  /** Where its topic is a template. */
  readonly topics?: TopicAdmission;
  /** Where it has a subject. */
  readonly framing?: ValueFraming;
  /** Who is told what the profile's rules do; left out, nobody. */
  readonly trace?: Trace;
}

/** A rule of a device profile, and what it made of a message. */
export interface TraceEntry {
  /** The profile's key, with dots: `time`, `metrics.speed.range`. */
  readonly rule: string;
  /** In words, values included. */
  readonly says: string;
}

/**
 * Told of every rule that a message meets, by routes that were compiled for it. Routes without one are compiled
 * as if there were no such thing: to be told costs the gateway nothing.
 */
export interface Trace {
  note(entry: TraceEntry): void;
}
