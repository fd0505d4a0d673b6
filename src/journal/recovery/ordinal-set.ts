/** A set of ordinals that is nearly always full up to some point: a low-water mark, and a bitmap above it. */
export class OrdinalSet {
  /** Every ordinal below is in the set. */
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

  has(ordinal: number): boolean {
    if (ordinal < this.#low) return true;
    const word = this.#words[(ordinal >>> 5) - this.#firstWord];
    return word !== undefined && (word & (1 << (ordinal & 31))) !== 0;
  }

  /** False if it was there already. */
  add(ordinal: number): boolean {
    if (this.has(ordinal)) return false;
    // In order, as nearly all are: no bitmap.
    if (ordinal === this.#low && this.#aboveLow === 0) {
      this.#low++;
      return true;
    }
    const index = this.#indexFor(ordinal);
    this.#words[index] = (this.#words[index] as number) | (1 << (ordinal & 31));
    this.#aboveLow++;
    if (ordinal === this.#low) this.#advance();
    return true;
  }

  #advance(): void {
    while (this.#aboveLow > 0 && this.#bit(this.#low)) {
      this.#low++;
      this.#aboveLow--;
    }
  }

  #bit(ordinal: number): boolean {
    const word = this.#words[(ordinal >>> 5) - this.#firstWord];
    return word !== undefined && (word & (1 << (ordinal & 31))) !== 0;
  }

  #indexFor(ordinal: number): number {
    const lowWord = this.#low >>> 5;
    if (this.#aboveLow === 0) {
      this.#words.fill(0);
      this.#firstWord = lowWord;
    }
    const index = (ordinal >>> 5) - this.#firstWord;
    if (index < this.#words.length) return index;
    // Cut off what is below the mark before growing: the bitmap spans what is open, not the segment.
    const kept = this.#words.subarray(Math.min(lowWord - this.#firstWord, this.#words.length));
    const needed = (ordinal >>> 5) - lowWord + 1;
    const words = new Uint32Array(Math.max(needed, 2 * kept.length, 16));
    words.set(kept);
    this.#words = words;
    this.#firstWord = lowWord;
    return (ordinal >>> 5) - lowWord;
  }

  /** The ordinals at or above the low-water mark, as bits from word `low / 32` on. */
  bitsAboveLow(): Uint32Array {
    if (this.#aboveLow === 0) return new Uint32Array(0);
    const words = this.#words.slice((this.#low >>> 5) - this.#firstWord);
    let length = words.length;
    while (length > 0 && words[length - 1] === 0) length--;
    return words.subarray(0, length);
  }

  /** The set that {@link low} and {@link bitsAboveLow} describe. */
  static restore(low: number, bits: Uint32Array): OrdinalSet {
    const set = new OrdinalSet();
    set.#low = low;
    const firstWord = low >>> 5;
    for (let index = 0; index < bits.length; index++) {
      const word = bits[index] as number;
      if (word === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        const ordinal = (firstWord + index) * 32 + bit;
        if ((word & (1 << bit)) !== 0 && ordinal >= low) set.add(ordinal);
      }
    }
    return set;
  }
}
