/** Where a connection stands. */
export const State = {
  ExpectingConnect: 0,
  /** The session's previous connection has to let go. */
  Claiming: 1,
  /** aedes has the CONNECT. */
  Connecting: 2,
  Open: 3,
  /** aedes has a SUBSCRIBE or UNSUBSCRIBE. */
  Subscribing: 4,
  /** Nothing is read or acknowledged any more. */
  Closing: 5,
} as const;
export type State = (typeof State)[keyof typeof State];
