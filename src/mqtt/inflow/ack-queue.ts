/** Sequences wrap here, so that they and the tokens made of them stay small integers. */
const SEQUENCE_MASK = 0x0fff_ffff;
const INITIAL_CAPACITY = 16;
/** Of an entry, above its packet identifier: what it waited for is true. */
const SETTLED = 0x1_0000;

/**
 * The acknowledgements that one connection owes for one kind of packet, in order of receipt: PUBACKs
 * ([MQTT-4.6.0-2]) or PUBRECs ([MQTT-4.6.0-3]). A ring; a message is one array element, not an object, and one
 * array and not several, because of a device that is seldom heard of none of it is in the processor's cache.
 */
export class AckQueue {
  /** Packet identifiers, with SETTLED. */
  #entries = new Uint32Array(INITIAL_CAPACITY);
  /** What was published, see {@link open}; only where somebody asks for it. */
  #fingerprints: Float64Array | undefined;
  #mask = INITIAL_CAPACITY - 1;
  #head: number;
  #size = 0;

  /** `first` is where sequences begin. */
  constructor(first = 0) {
    this.#head = first & SEQUENCE_MASK;
  }

  /** Acknowledgements that are owed. */
  get size(): number {
    return this.#size;
  }

  /** Whether the oldest one may leave. */
  get ready(): boolean {
    return this.#size > 0 && (this.#entries[this.#head & this.#mask] as number) >= SETTLED;
  }

  /** Owes one more. Returns its sequence, for {@link settle}. `fingerprint`: of what it is for, for {@link find}. */
  open(packetId: number, fingerprint?: number): number {
    if (this.#size === this.#entries.length) this.#grow();
    const sequence = (this.#head + this.#size) & SEQUENCE_MASK;
    this.#entries[sequence & this.#mask] = packetId;
    if (fingerprint !== undefined) {
      this.#fingerprints ??= new Float64Array(this.#entries.length).fill(Number.NaN);
      this.#fingerprints[sequence & this.#mask] = fingerprint;
    }
    this.#size++;
    return sequence;
  }

  /** Takes back the {@link open} that came last. */
  withdraw(): void {
    this.#size--;
  }

  packetId(sequence: number): number {
    return (this.#entries[sequence & this.#mask] as number) & 0xffff;
  }

  /** The sequence of the one that was opened so and has not been settled; undefined if there is none. */
  find(packetId: number, fingerprint: number): number | undefined {
    const fingerprints = this.#fingerprints;
    if (fingerprints === undefined) return undefined;
    for (let index = 0; index < this.#size; index++) {
      const sequence = (this.#head + index) & SEQUENCE_MASK;
      const at = sequence & this.#mask;
      // Of one that is settled the entry is another number.
      if (this.#entries[at] === packetId && fingerprints[at] === fingerprint) return sequence;
    }
    return undefined;
  }

  /** What it waited for is true now. Returns false if that was known before, or it is not owed. */
  settle(sequence: number): boolean {
    const age = (sequence - this.#head) & SEQUENCE_MASK;
    if (age >= this.#size) return false;
    const entry = this.#entries[sequence & this.#mask] as number;
    this.#entries[sequence & this.#mask] = entry | SETTLED;
    return entry < SETTLED;
  }

  /**
   * Writes the packets that may leave, 4 bytes each, with `header` as first byte, while they fit before `end`.
   * Returns the position behind them.
   */
  drain(header: number, buffer: Buffer, offset: number, end: number): number {
    let at = offset;
    while (this.ready && at + 4 <= end) {
      const packetId = this.packetId(this.#head);
      buffer[at] = header;
      buffer[at + 1] = 2;
      buffer[at + 2] = packetId >>> 8;
      buffer[at + 3] = packetId & 0xff;
      at += 4;
      this.#head = (this.#head + 1) & SEQUENCE_MASK;
      this.#size--;
    }
    return at;
  }

  /** Drops the ones that may leave: nobody is there to receive them. */
  forgetSettled(): void {
    while (this.ready) {
      this.#head = (this.#head + 1) & SEQUENCE_MASK;
      this.#size--;
    }
  }

  #grow(): void {
    const capacity = 2 * this.#entries.length;
    const entries = new Uint32Array(capacity);
    const before = this.#fingerprints;
    const fingerprints = before === undefined ? undefined : new Float64Array(capacity).fill(Number.NaN);
    for (let index = 0; index < this.#size; index++) {
      const sequence = (this.#head + index) & SEQUENCE_MASK;
      entries[sequence & (capacity - 1)] = this.#entries[sequence & this.#mask] as number;
      if (fingerprints !== undefined) {
        fingerprints[sequence & (capacity - 1)] = before?.[sequence & this.#mask] as number;
      }
    }
    this.#fingerprints = fingerprints;
    this.#entries = entries;
    this.#mask = capacity - 1;
  }
}
