/** A set of offsets, kept as ranges: what is handled in order takes no room. */
export class OffsetRanges {
  /** Sorted, apart from each other: first and last offset of each range, both included. */
  readonly #ranges: [first: number, last: number][] = [];

  /**
   * Reads what {@link toString} wrote, e.g. `0-5,9`.
   * @throws RangeError for any other text
   */
  static parse(text: string): OffsetRanges {
    const ranges = new OffsetRanges();
    for (const part of text === '' ? [] : text.split(',')) {
      const [, first = '', last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
      if (first === '' || Number(last) < Number(first)) throw new RangeError(`no range of offsets: ${part}`);
      ranges.add(Number(first), Number(last));
    }
    return ranges;
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** How many offsets are in the set. */
  get count(): number {
    return this.#ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  get first(): number | undefined {
    return this.#ranges[0]?.[0];
  }

  get last(): number | undefined {
    return this.#ranges.at(-1)?.[1];
  }

  add(first: number, last = first): void {
    const from = this.#ranges.findIndex((range) => range[1] >= first - 1);
    if (from < 0) {
      this.#ranges.push([first, last]);
      return;
    }
    let to = from;
    let [low, high] = [first, last];
    for (; to < this.#ranges.length; to++) {
      const [otherFirst, otherLast] = this.#ranges[to] as [number, number];
      if (otherFirst > last + 1) break;
      low = Math.min(low, otherFirst);
      high = Math.max(high, otherLast);
    }
    this.#ranges.splice(from, to - from, [low, high]);
  }

  has(offset: number): boolean {
    return this.#ranges.some(([first, last]) => first <= offset && offset <= last);
  }

  /** The first offset from `offset` on that is not in the set. */
  firstMissing(offset: number): number {
    const range = this.#ranges.find(([first, last]) => first <= offset && offset <= last);
    return range === undefined ? offset : range[1] + 1;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const [first, last] of this.#ranges) for (let offset = first; offset <= last; offset++) yield offset;
  }

  toString(): string {
    return this.#ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
  }
}
