/** One step of a message's way, measured alone. */
export interface Stage {
  readonly name: string;
  /** Makes everything that isn't measured. */
  prepare(): Work;
}

export interface Work {
  /** Messages that one call of `run` handles. */
  readonly messages: number;
  /** The step itself. What it returns depends on all it did, so that no compiler leaves anything out. */
  readonly run: () => number | Promise<number>;
}
