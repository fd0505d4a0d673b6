/** A set of numbers that is nearly always full up to some point: a low-water mark, and a bitmap above it. */
export class RecordSet {
  /** Every number below is in the set. */
  #low = 0;
  /** Bit `o % 32` of word `o / 32 - firstWord`. Words below the low-water mark are cut off now and then. */
  #words = new Uint32Array(0);
  #firstWord = 0;
  #aboveLow = 0;

  get low(): number {
    return this.#low;
  }

  get size(): number {
    return this.#low + this.#aboveLow;
  }

  has(recordNumber: number): boolean {
    return recordNumber < this.#low || this.#isSet(recordNumber);
  }

  #isSet(recordNumber: number): boolean {
    const word = this.#words[(recordNumber >>> 5) - this.#firstWord];
    return word !== undefined && (word & (1 << (recordNumber & 31))) !== 0;
  }

  /** False if it was there already. */
  add(recordNumber: number): boolean {
    if (this.has(recordNumber)) return false;
    // In order, as nearly all are: no bitmap.
    if (recordNumber === this.#low && this.#aboveLow === 0) {
      this.#low++;
      return true;
    }
    const index = this.#indexFor(recordNumber);
    this.#words[index] = (this.#words[index] as number) | (1 << (recordNumber & 31));
    this.#aboveLow++;
    if (recordNumber === this.#low) this.#advance();
    return true;
  }

  #advance(): void {
    while (this.#aboveLow > 0 && this.#isSet(this.#low)) {
      this.#low++;
      this.#aboveLow--;
    }
  }

  #indexFor(recordNumber: number): number {
    const lowWord = this.#low >>> 5;
    if (this.#aboveLow === 0) {
      this.#words.fill(0);
      this.#firstWord = lowWord;
    }
    const index = (recordNumber >>> 5) - this.#firstWord;
    if (index < this.#words.length) return index;
    // Cut off what is below the mark before growing: the bitmap spans what is open, not the segment.
    const kept = this.#words.subarray(Math.min(lowWord - this.#firstWord, this.#words.length));
    const needed = (recordNumber >>> 5) - lowWord + 1;
    const words = new Uint32Array(Math.max(needed, 2 * kept.length, 16));
    words.set(kept);
    this.#words = words;
    this.#firstWord = lowWord;
    return (recordNumber >>> 5) - lowWord;
  }

  /** The numbers at or above the low-water mark, as bits from word `low / 32` on. */
  bitsAboveLow(): Uint32Array {
    if (this.#aboveLow === 0) return new Uint32Array(0);
    const words = this.#words.slice((this.#low >>> 5) - this.#firstWord);
    let length = words.length;
    while (length > 0 && words[length - 1] === 0) length--;
    return words.subarray(0, length);
  }

  /** The set that {@link low} and {@link bitsAboveLow} describe. */
  static restore(low: number, bits: Uint32Array): RecordSet {
    const set = new RecordSet();
    set.#low = low;
    const firstWord = low >>> 5;
    for (let index = 0; index < bits.length; index++) {
      const word = bits[index] as number;
      if (word === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        const recordNumber = (firstWord + index) * 32 + bit;
        if ((word & (1 << bit)) !== 0 && recordNumber >= low) set.add(recordNumber);
      }
    }
    return set;
  }
}
