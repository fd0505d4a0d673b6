/**
 * A small seeded generator of pseudo-random numbers (sfc32, Chris Doty-Humphrey's PractRand): the same seed
 * and stream give the same numbers on every machine. Not for anything secret.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  #spareGaussian: number | undefined;

  /** `stream` names one of many independent sequences of the same seed, e.g. a device id. */
  constructor(seed: number, stream: string) {
    this.#a = hash(`${seed}/a/${stream}`);
    this.#b = hash(`${seed}/b/${stream}`);
    this.#c = hash(`${seed}/c/${stream}`);
    // The state needs some rounds until neighbouring seeds have nothing in common any more.
    for (let round = 0; round < 12; round++) this.#next();
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.#next() / 0x1_0000_0000;
  }

  /** Standard normal distribution (Box-Muller, which yields two at a time). */
  gaussian(): number {
    const spare = this.#spareGaussian;
    if (spare !== undefined) {
      this.#spareGaussian = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareGaussian = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** One of `values`, which must not be empty. */
  pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.uniform() * values.length)] as T;
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value | 0;
}
