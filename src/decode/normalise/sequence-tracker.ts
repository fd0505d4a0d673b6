/** What the messages of a device, or of a type, say about its count of them. */
export interface SequenceCounts {
  /** Numbers that were skipped and have not come since. */
  missing: number;
  /** Messages with a number that was there already. */
  repeated: number;
  /** Messages with a number lower than one before them, that was not there yet. */
  late: number;
  /** Counts that began anew: a device that was restarted. */
  restarts: number;
}

export function noCounts(): SequenceCounts {
  return { missing: 0, repeated: 0, late: 0, restarts: 0 };
}

/** How many numbers below the highest are told apart: repeated, or late. */
const WINDOW = 64;
/** A step beyond this is no gap but another count. */
const MAX_GAP = 1_000_000;

/**
 * A device's place in its own count: the highest number, and of the 64 up to it which were there (as in IPsec's
 * replay window, RFC 4303 section 3.4.3). 5 numbers a device, 5 ns a message.
 *
 * A lower number that was there already is a repeat, unless it is 0 or 1 and its DUP flag is not set: then the
 * device has begun anew. So has one whose number is further off than the window, or than a million upwards.
 */
export class DeviceSequence implements SequenceCounts {
  missing = 0;
  repeated = 0;
  late = 0;
  restarts = 0;
  /** -1: none yet. */
  #highest = -1;
  /** Bit n: highest - n was there; the first 32 and the second. */
  #near = 0;
  #far = 0;

  /** Takes note of a message; `totals` are those of the device's type. `modulo` 0: the count never wraps. */
  observe(sequence: number, dup: boolean, modulo: number, totals: SequenceCounts): void {
    const ahead = this.#stepTo(sequence, modulo);
    if (ahead === 1) {
      this.#shift(1);
      this.#highest = sequence;
    } else if (this.#highest < 0) this.#begin(sequence);
    else if (ahead > MAX_GAP) this.#restart(sequence, totals);
    else if (ahead > 0) {
      this.missing += ahead - 1;
      totals.missing += ahead - 1;
      this.#shift(ahead);
      this.#highest = sequence;
    } else this.#behind(sequence, -ahead, dup, totals);
  }

  /** How far a number is above the highest; below it, negative. */
  #stepTo(sequence: number, modulo: number): number {
    const step = sequence - this.#highest;
    if (modulo === 0) return step;
    if (step > modulo / 2) return step - modulo;
    return step <= -modulo / 2 ? step + modulo : step;
  }

  #behind(sequence: number, by: number, dup: boolean, totals: SequenceCounts): void {
    if (by >= WINDOW) {
      // A late one from before the window would restart the count; one that says it is a repeat does not.
      if (dup) this.#repeat(totals);
      else this.#restart(sequence, totals);
      return;
    }
    const bit = 1 << (by & 31);
    const seen = ((by < 32 ? this.#near : this.#far) & bit) !== 0;
    if (seen && sequence <= 1 && by > 0 && !dup) this.#restart(sequence, totals);
    else if (seen) this.#repeat(totals);
    else {
      if (by < 32) this.#near |= bit;
      else this.#far |= bit;
      this.late++;
      totals.late++;
      // It had been given up. Not so what came before the first.
      if (this.missing > 0) {
        this.missing--;
        totals.missing--;
      }
    }
  }

  #repeat(totals: SequenceCounts): void {
    this.repeated++;
    totals.repeated++;
  }

  #restart(sequence: number, totals: SequenceCounts): void {
    this.restarts++;
    totals.restarts++;
    this.#begin(sequence);
  }

  #begin(sequence: number): void {
    this.#highest = sequence;
    this.#near = 1;
    this.#far = 0;
  }

  #shift(by: number): void {
    if (by >= WINDOW) {
      this.#near = 0;
      this.#far = 0;
    } else if (by >= 32) {
      this.#far = this.#near << (by - 32);
      this.#near = 0;
    } else {
      this.#far = (this.#far << by) | (this.#near >>> (32 - by));
      this.#near <<= by;
    }
    this.#near |= 1;
  }
}
