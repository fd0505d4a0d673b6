import type { Clock } from './clock.ts';
import type { DecodeFault } from './route.ts';
import type { Trace } from './trace.ts';

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
