/**
 * Which records of a partition are on their way, so that they may end in any order and only what has nothing
 * on its way before it is committed.
 */
export class OffsetWindow {
  /** Records on their way and whose they are, ascending: a Map keeps the order in which they were opened. */
  readonly #open = new Map<bigint, object>();
  /** The first offset that was not seen yet. */
  #next: bigint | undefined;
  /** Where the group goes on without us, as far as we know. */
  #committed: bigint | undefined;
  /** Somebody else may have committed; known with the next record that the group gives us. */
  #isStale = false;

  /** Records on their way. */
  get size(): number {
    return this.#open.size;
  }

  /** The membership begins anew: records come again from where the group was committed, by whomever. */
  joined(): void {
    this.#isStale = true;
  }

  /**
   * A record is offered; to be asked for every one, in order.
   * @returns whether it is already on its way, or has ended
   */
  knows(offset: bigint): boolean {
    if (this.#committed !== undefined && offset < this.#committed) {
      // Nothing comes again from before that, unless the topic or the group was deleted and begins anew.
      this.#open.clear();
      this.#next = undefined;
      this.#committed = undefined;
    }
    if (this.#isStale) {
      // What lies before was committed by another member, which was here in between, or by us.
      for (const open of this.#open.keys()) if (open < offset) this.#open.delete(open);
      this.#isStale = false;
      this.#committed = offset;
    }
    return this.#next !== undefined && offset < this.#next;
  }

  /** `owner` tells this occurrence of the offset from another, see {@link complete}. */
  open(offset: bigint, owner: object): void {
    this.#open.set(offset, owner);
    this.#next = offset + 1n;
  }

  complete(offset: bigint, owner: object): void {
    if (this.#open.get(offset) === owner) this.#open.delete(offset);
  }

  /** Where to go on after a restart, if that has changed since {@link committed}. */
  get committable(): bigint | undefined {
    if (this.#isStale || this.#next === undefined) return undefined;
    const [oldest] = this.#open.keys();
    const position = oldest ?? this.#next;
    return position === this.#committed ? undefined : position;
  }

  committed(position: bigint): void {
    this.#committed = position;
  }
}
