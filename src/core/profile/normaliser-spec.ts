/*
 * What a device profile says about the way from a decoded field to telemetry. All of it is compiled once.
 */

/**
 * What happens to a value that fails a check. `reject`: the message becomes a dead letter. `mark`: the value
 * stays and says so. `drop`: the value is left out; a message that lacks a required metric is dropped as a whole.
 */
export const CHECK_POLICIES = ['reject', 'mark', 'drop'] as const;
export type CheckPolicy = (typeof CHECK_POLICIES)[number];

export const METRIC_TYPES = ['double', 'integer', 'boolean', 'text'] as const;
export type MetricType = (typeof METRIC_TYPES)[number];

/** One metric: where it comes from, and what is made of it, in the order of these keys. */
export interface MetricSpec {
  /** A decoded field's path. */
  readonly field: string;
  /** The value is this bit of the field, 0 the lowest, as true or false. */
  readonly bit?: number;
  /** Names for the field's numbers. */
  readonly enum?: ReadonlyMap<number, string>;
  /** value * scale + offset, in the unit `from`. */
  readonly scale?: number;
  readonly offset?: number;
  /** The UCUM unit that the device measures in, converted to `unit`; left out, it is `unit`. */
  readonly from?: string;
  /** The UCUM unit that consumers get. */
  readonly unit?: string;
  /** Left out, what the payload says. */
  readonly type?: MetricType;
  /** Both bounds are within. */
  readonly range?: { readonly min?: number; readonly max?: number; readonly else: CheckPolicy };
  /** What happens to a message without this metric; left out, nothing. */
  readonly required?: CheckPolicy;
  /**
   * How far the value must be from the one that passed last. A message is filtered if none of its metrics is so
   * far. `relative` is a share of the last value.
   */
  readonly deadband?: { readonly by: number; readonly relative: boolean };
}

export const TIME_UNITS = ['s', 'ms', 'us', 'ns'] as const;
export type TimeUnit = (typeof TIME_UNITS)[number];

export interface TimeWindow {
  readonly behindMs: number;
  readonly aheadMs: number;
}

/** The event time's field, and what to do where the device's clock is wrong. */
export interface TimeSpec {
  readonly field: string;
  /** Of a number; of text, the format. */
  readonly unit?: TimeUnit;
  /** `iso8601`, or a pattern such as `yyyy-MM-dd HH:mm:ss`. */
  readonly format?: string;
  /** Offset from UTC in minutes of texts that don't say theirs; left out, UTC. */
  readonly zoneMinutes?: number;
  /** How far event time may lie from receipt; left out, the default window. */
  readonly window?: TimeWindow;
  /**
   * What is done with a message whose event time lies outside. `receipt`, the default: the record gets the time of
   * receipt. `correct`: the record gets the device's time plus the measured error of its clock.
   */
  readonly outside?: 'receipt' | 'correct' | 'dead-letter';
}

/** The device's own count of its messages. */
export interface SequenceSpec {
  readonly field: string;
  /** The count starts over at 0 when it would reach this. */
  readonly modulo?: number;
}

/** Which messages of a device are held back. */
export interface FilterSpec {
  /** At most one message a device in this time, by event time; 0: no limit. */
  readonly minIntervalMs: number;
  /** After this time one passes, whatever the deadbands say; undefined: there is no such time. */
  readonly maxSilenceMs?: number | undefined;
}

/** What is known of the devices from elsewhere. */
export interface RegistrySpec {
  /** Absolute path of a CSV or YAML file. */
  readonly file: string;
  /** The column with the device id. */
  readonly key: string;
  /** Attribute name -> column. */
  readonly attributes: ReadonlyMap<string, string>;
  /** What happens to messages of devices that the file doesn't have. */
  readonly unknown: 'accept' | 'quarantine' | 'refuse';
  /** The Kafka topic of quarantined records. */
  readonly quarantineTopic: string;
}
