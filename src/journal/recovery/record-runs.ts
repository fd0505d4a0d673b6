/** Where records stand in memory, with their ordinals: parallel arrays instead of an object a record. */
export class RecordRuns {
  readonly buffers: Buffer[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly ordinals: number[] = [];
  #unnumberedFrom = 0;

  get count(): number {
    return this.starts.length;
  }

  add(buffer: Buffer, start: number, end: number): void {
    this.buffers.push(buffer);
    this.starts.push(start);
    this.ends.push(end);
  }

  /** Gives those that have no ordinal yet theirs, in order from `first`. */
  number(first: number): void {
    for (let index = this.#unnumberedFrom; index < this.count; index++) {
      this.ordinals.push(first + index - this.#unnumberedFrom);
    }
    this.#unnumberedFrom = this.count;
  }

  /** Takes over another's records, which have their ordinals. */
  append(other: RecordRuns): void {
    for (let index = 0; index < other.count; index++) {
      this.add(other.buffers[index] as Buffer, other.starts[index] as number, other.ends[index] as number);
      this.ordinals.push(other.ordinals[index] as number);
    }
    this.#unnumberedFrom = this.count;
  }
}
