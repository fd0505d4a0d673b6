/** How far back the rates look: a time constant, in milliseconds. */
const MEMORY_MS = 30_000;

/** Rates of what flows in and out, smoothed; and what follows from them. */
export class FlowRates {
  /** Records a second. */
  inPerSecond = 0;
  outPerSecond = 0;
  /** Bytes a second; negative while the journal shrinks. */
  growthPerSecond = 0;
  #last: FlowSample | undefined;

  sample(sample: FlowSample): void {
    const last = this.#last;
    this.#last = sample;
    if (last === undefined) return;
    const elapsedMs = sample.atMs - last.atMs;
    if (elapsedMs <= 0) return;
    const weight = 1 - Math.exp(-elapsedMs / MEMORY_MS);
    const perSecond = 1000 / elapsedMs;
    this.inPerSecond += weight * ((sample.inRecords - last.inRecords) * perSecond - this.inPerSecond);
    this.outPerSecond += weight * ((sample.outRecords - last.outRecords) * perSecond - this.outPerSecond);
    this.growthPerSecond += weight * ((sample.usedBytes - last.usedBytes) * perSecond - this.growthPerSecond);
  }

  /** Seconds until `freeBytes` are used up at the present growth; undefined while it doesn't grow. */
  secondsToFull(freeBytes: number): number | undefined {
    return this.growthPerSecond > 0 ? Math.max(0, freeBytes) / this.growthPerSecond : undefined;
  }

  /** Seconds until `openRecords` are done at the present rates; undefined while they don't get fewer. */
  secondsToDrain(openRecords: number): number | undefined {
    if (openRecords === 0) return 0;
    const net = this.outPerSecond - this.inPerSecond;
    return net > 0 ? openRecords / net : undefined;
  }
}

export interface FlowSample {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  /** Totals since the start. */
  readonly inRecords: number;
  readonly outRecords: number;
  readonly usedBytes: number;
}
