/**
 * Seeds of the random choices of a fault test: one that is always the same where it runs with all the others, new
 * ones with `npm run test:faults`. FAULT_SEEDS=17,4711 runs these: a failure says its seed in its name;
 * FAULT_SEEDS=random,random,random draws three.
 */
export function faultSeeds(): readonly number[] {
  const wanted = process.env.FAULT_SEEDS ?? '1';
  return wanted
    .split(',')
    .map((seed) => (seed === 'random' ? Math.floor(Math.random() * 2 ** 31) : Number(seed)));
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };

  /** A whole number, `from` and `to` included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** The items in another order. */
  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, place: this.next() }))
      .sort((a, b) => a.place - b.place)
      .map(({ item }) => item);
  }
}
