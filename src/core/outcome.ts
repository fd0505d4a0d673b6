/**
 * What became of a publication: its one final state. Everything but `Refused` lets the device be
 * acknowledged (PUBACK, PUBREC); `Refused` closes its connection, the only "no" that MQTT 3.1.1 has
 * ([MQTT-3.3.5-2]).
 */
export const Outcome = {
  /** The route's contract is fulfilled: for `kafka`, its record's batch is acknowledged. */
  Delivered: 0,
  /** It could not be understood, and its dead letter is durable. */
  DeadLettered: 1,
  /** No route matches, and `unrouted: local` says that local subscribers were all it was for. */
  Local: 2,
  /** It may not be published: no route and `unrouted: refuse`, or a contract that can no longer be kept. */
  Refused: 3,
  /** Understood, and its profile's rules say that no record is due. */
  Filtered: 4,
  /** The journal is full, and its policy is to drop what comes. */
  Dropped: 5,
} as const;

export type Outcome = (typeof Outcome)[keyof typeof Outcome];
