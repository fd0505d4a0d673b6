/** Something that must hold before devices should be sent here. */
export interface Condition {
  /** Short and stable, e.g. `kafka`, `topics`. */
  readonly name: string;
  readonly ready: boolean;
  /** False: devices may be sent here even while this does not hold. Left out, they may not. */
  readonly required?: boolean;
  /** Why it does not hold, and what can be done; with `ready`, what holds. */
  readonly reason: string;
}

export interface Readiness {
  readonly ready: boolean;
  readonly conditions: readonly Condition[];
}

export function readinessOf(conditions: readonly Condition[]): Readiness {
  return { ready: conditions.every(({ ready, required = true }) => ready || !required), conditions };
}
