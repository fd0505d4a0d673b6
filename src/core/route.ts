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
 * What a route may answer about a publication if it is no record. These are told apart by identity. They are
 * shaped like a fault, so that a route has one type of answer.
 */

/** Understood. The profile's own rules say that no record is due: the device is acknowledged at once. */
export const FILTERED: DecodeFault = { code: 'FILTERED', message: 'filtered by its device profile' };

/** Understood. The profile's own rules refuse it: the device's connection is closed. */
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
  /** The Kafka topics of records, and of dead letters. */
  readonly topic: string;
  readonly deadLetterTopic: string;
  /**
   * Decodes and normalises the publication into `record`. Its fields are valid until the next call of any route.
   * Returns undefined, or the reason why there is no record: the payload's fault, {@link FILTERED}, {@link
   * REFUSED} or {@link NOT_READY}. Never throws. If there was no room for the record, this may be called again for
   * the same publication. So the route changes what it remembers of a device only in {@link taken}.
   */
  toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined;
  /**
   * The answer of the last call of `toRecord` took effect: the record, or its dead letter, has been taken on, or
   * the publication was filtered or refused. Called once for each record.
   */
  taken(): void;
  /** Calls back once, when the reason for {@link NOT_READY} may be gone and another try is worthwhile. */
  whenReady(callback: () => void): void;
  /** There only if a payload may hold several readings, each a record of its own. */
  readonly batch?: Batch | undefined;
}

/** Takes a payload apart that holds any number of readings: first `open`, then any of the readings, then `close`. */
export interface Batch {
  /**
   * Takes the payload apart. Returns how many records it becomes, which may be 0. If it can't be read or isn't
   * wanted, returns the reason, as `toRecord` does. The route keeps the payload until `close`. Never throws.
   */
  open(publication: Publication): number | DecodeFault;
  /** The reading that `toRecord` converts next; from 0. */
  select(index: number): void;
  /** The index of the selected reading; undefined before the first {@link select}, and after `close`. */
  readonly selected: number | undefined;
  /**
   * A payload that holds the selected reading alone, for its dead letter: `open` answers 1 for it. undefined: no
   * such payload can be made, or nothing is selected.
   */
  alone(): Uint8Array | undefined;
  close(): void;
}

/** The Kafka topic of messages that could not become a record of `topic`. */
export function deadLetterTopicOf(topic: string): string {
  return `${topic}.dlq`;
}

/*
 * What the routes of a device profile ask of the rest of the gateway. All answers are immediate: a message never
 * waits for a promise.
 */

/** What is known of devices from elsewhere. */
export interface DeviceLookup {
  /** Grows whenever an answer may have changed. */
  readonly version: number;
  /** The device's columns by name; undefined: the device is not known. */
  find(deviceId: string): ReadonlyMap<string, string> | undefined;
}

/** Says which Kafka topics messages may name. */
export interface TopicAdmission {
  /** Whether records may go to the topic; from then on the gateway sees to it that it exists. */
  admit(topic: string): boolean;
}

/** The bytes that stand before a value, so that consumers find its schema. */
export interface ValueFraming {
  /** undefined: not known yet; wait with {@link whenReady}. */
  prefix(topic: string): Uint8Array | DecodeFault | undefined;
  /** Calls back once, when it is worthwhile to ask again. */
  whenReady(callback: () => void): void;
}

/** Messages to devices, by way of the gateway's own MQTT broker: at most once, to each connected subscriber. */
export interface DeviceCommands {
  publish(topic: string, payload: Uint8Array): void;
}

export interface RouteServices {
  /** For a decoder that talks back to devices: Sparkplug B. */
  readonly commands?: DeviceCommands;
  readonly clock?: Clock;
  /** For a profile with a registry. */
  readonly devices?: DeviceLookup;
  /** For a profile whose topic is a template. */
  readonly topics?: TopicAdmission;
  /** For a profile with a subject. */
  readonly framing?: ValueFraming;
  /** Hears what the profile's rules do; left out, they are not traced. */
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
 * Hears of every rule that a message meets, from routes that were compiled for it. Other routes are compiled as if
 * there were no trace, so it costs a running gateway nothing.
 */
export interface Trace {
  note(entry: TraceEntry): void;
}
