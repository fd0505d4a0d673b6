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
