import type { ReadAhead } from './read-ahead.ts';

/** Bytes of one connection that may not be looked at yet: what came behind a packet that has no answer. */
export class HeldBytes {
  readonly #memory: ReadAhead;
  #bytes: Buffer | undefined;
  #at = 0;

  constructor(memory: ReadAhead) {
    this.#memory = memory;
  }

  /** Memory that is held. */
  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  get empty(): boolean {
    return this.#bytes === undefined;
  }

  /** Copies more bytes behind those that are held. */
  append(bytes: Buffer): void {
    const rest = this.#bytes?.subarray(this.#at);
    const held = Buffer.allocUnsafeSlow((rest?.length ?? 0) + bytes.length);
    rest?.copy(held);
    bytes.copy(held, rest?.length ?? 0);
    this.#memory.count(held.length - this.length);
    this.#bytes = held;
    this.#at = 0;
  }

  /** Has `read` read on from a position; it returns how far it came. */
  readOn(read: (bytes: Buffer, from: number) => number): void {
    const bytes = this.#bytes;
    if (bytes === undefined) return;
    const at = read(bytes, this.#at);
    if (at >= bytes.length) this.clear();
    // Unless it was cleared meanwhile.
    else if (this.#bytes === bytes) this.#at = at;
  }

  clear(): void {
    this.#memory.count(-this.length);
    this.#bytes = undefined;
    this.#at = 0;
  }
}
