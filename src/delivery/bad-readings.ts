import type { DecodeFault } from '../core/route.ts';

/** Ranges of readings that one dead letter names at most: some 12 KB of text. */
const MOST_RANGES = 1_000;
/** Different reasons that one dead letter gives at most. */
const MOST_REASONS = 8;

/**
 * Readings of one payload that were not understood and can't stand alone: they share one dead letter, which holds the
 * payload once. With a dead letter each, a message of many bad readings would take its size squared.
 */
export class BadReadings {
  /** Alternately the first and the last reading of a range. */
  readonly #bounds: number[] = [];
  readonly #reasons: { readonly fault: DecodeFault; readonly first: number; readings: number }[] = [];
  #readings = 0;
  #otherReasons = 0;

  /** Their dead letter is due before any other reading is added. */
  get isFull(): boolean {
    return this.#bounds.length >= 2 * MOST_RANGES;
  }

  get isEmpty(): boolean {
    return this.#readings === 0;
  }

  /** In ascending order. */
  add(reading: number, fault: DecodeFault): void {
    this.#readings++;
    if (this.#bounds.at(-1) === reading - 1) this.#bounds[this.#bounds.length - 1] = reading;
    else this.#bounds.push(reading, reading);
    const known = this.#reasons.find(
      ({ fault: { code, message } }) => code === fault.code && message === fault.message,
    );
    if (known !== undefined) known.readings++;
    else if (this.#reasons.length < MOST_REASONS) this.#reasons.push({ fault, first: reading, readings: 1 });
    else this.#otherReasons++;
  }

  clear(): void {
    this.#bounds.length = 0;
    this.#reasons.length = 0;
    this.#readings = 0;
    this.#otherReasons = 0;
  }

  /** Such as `0-2,7`. */
  toString(): string {
    const ranges: string[] = [];
    for (let at = 0; at < this.#bounds.length; at += 2) {
      const [first, last] = [this.#bounds[at], this.#bounds[at + 1]];
      ranges.push(first === last ? String(first) : `${first}-${last}`);
    }
    return ranges.join(',');
  }

  /** The first one's code, and all reasons in words: which reading was the first with each, and how many there are. */
  get fault(): DecodeFault {
    const [first] = this.#reasons;
    if (first === undefined) throw new Error('no reading is bad');
    if (this.#readings === 1) return first.fault;
    const reasons = this.#reasons.map(({ fault, first: reading, readings }) => {
      const code = fault.code === first.fault.code ? '' : `${fault.code}: `;
      return `${code}${fault.message} (reading ${reading}${readings > 1 ? ` and ${readings - 1} more` : ''})`;
    });
    if (this.#otherReasons > 0) reasons.push(`and ${this.#otherReasons} other reasons`);
    return { code: first.fault.code, message: reasons.join('; ') };
  }
}
