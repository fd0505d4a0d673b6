/**
 * The part of pino's interface that the stages use. Fields come first, then a constant message, so that
 * log lines can be grouped. Nothing is logged per message at info or above.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger whose lines carry `fields` too. */
  child(fields: object): Logger;
}

/** Discards everything: the default of the producer library, and of unit tests. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
