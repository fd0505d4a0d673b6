/** One thing that is wrong in a file that a person wrote. */
export interface ConfigFault {
  /** Path as the person knows it. */
  readonly file: string;
  /** 1-based; 0 when the fault is not at a line (an environment variable, a missing file). */
  readonly line: number;
  /** The key's path with dots, e.g. `mqtt.listeners[0].port`. */
  readonly key: string;
  /** What is there, as short text. Never a secret's value. */
  readonly found: string;
  /** What should be there, e.g. `an integer from 1 to 65535`. */
  readonly expected: string;
}

/** Something that is legal and most probably a mistake; `expected` is what would be better. */
export interface ConfigWarning extends ConfigFault {
  /** Stable, e.g. NO_IDEMPOTENCE. */
  readonly code: string;
}

/** A fault as a later stage finds it: in terms of the key, because only the loader knows files and lines. */
export interface KeyFault {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
}
