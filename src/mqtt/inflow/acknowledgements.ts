import type { Transport } from '../edge/transport.ts';
import { PacketType, ReasonCode, type Codec } from '../protocol/codec.ts';
import type { IngressStats } from '../stats.ts';

const SLAB_BYTES = 16 * 1024;

/** Writes the acknowledgements of many connections out of one piece of memory, with one write each. */
export class AckWriter {
  readonly #stats: IngressStats;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;

  constructor(stats: IngressStats) {
    this.#stats = stats;
  }

  write(acks: Acknowledgements, transport: Transport): void {
    const bytes = acks.readyBytes;
    if (bytes === 0 || transport.destroyed) return;
    if (this.#used + bytes > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
      this.#used = 0;
    }
    const start = this.#used;
    const end = acks.drain(this.#slab, start, this.#stats);
    transport.write(this.#slab.subarray(start, end));
    // The kernel takes a few bytes at once, as a rule; then the memory is free again. Otherwise it must stay.
    this.#used = transport.writableLength === 0 ? start : end;
  }
}

/**
 * What one connection owes its device. PUBACKs and PUBRECs leave in order of receipt, each among themselves: a
 * slow QoS 2 publication must not hold up a PUBACK.
 */
export class Acknowledgements {
  readonly #codec: Codec;
  readonly #pubacks = new AckQueue();
  /** Of the few devices that use QoS 2, from their first one on. */
  #pubrecs: AckQueue | undefined;
  /** Packet identifiers of PUBRELs, which are answered at once. */
  #pubcomps: number[] | undefined;

  constructor(codec: Codec) {
    this.#codec = codec;
  }

  /** Publications without PUBACK or PUBREC. */
  get owed(): number {
    return this.#pubacks.size + (this.#pubrecs?.size ?? 0);
  }

  /** The PUBACKs or PUBRECs, by the QoS of what they acknowledge. */
  of(qos: number): AckQueue {
    return qos === 1 ? this.#pubacks : (this.#pubrecs ??= new AckQueue());
  }

  /** Owes a PUBCOMP. */
  release(packetId: number): void {
    this.#pubcomps ??= [];
    this.#pubcomps.push(packetId);
  }

  /** Room that {@link drain} needs; 0 if nothing may leave. */
  get readyBytes(): number {
    const ready = this.#pubacks.ready || this.#pubrecs?.ready === true || this.#pubcomps !== undefined;
    return ready ? this.#codec.maxAckBytes * (this.owed + (this.#pubcomps?.length ?? 0)) : 0;
  }

  /** Writes what may leave to a position of the buffer. Returns the position behind it. */
  drain(buffer: Buffer, at: number, stats: IngressStats): number {
    const codec = this.#codec;
    const owedPubacks = this.#pubacks.size;
    let end = this.#pubacks.drain(PacketType.Puback, codec, buffer, at);
    stats.acknowledged[1] += owedPubacks - this.#pubacks.size;
    if (this.#pubrecs !== undefined) {
      const owedPubrecs = this.#pubrecs.size;
      end = this.#pubrecs.drain(PacketType.Pubrec, codec, buffer, end);
      stats.acknowledged[2] += owedPubrecs - this.#pubrecs.size;
    }
    if (this.#pubcomps === undefined) return end;
    for (const packetId of this.#pubcomps) {
      end = codec.writeAck(PacketType.Pubcomp, packetId, ReasonCode.Success, buffer, end);
    }
    this.#pubcomps = undefined;
    return end;
  }

  /** Drops what may leave: the connection is gone. */
  forget(): void {
    this.#pubacks.forgetSettled();
    this.#pubrecs?.forgetSettled();
    this.#pubcomps = undefined;
  }
}

/** Sequences wrap here, so that they and the tokens made of them stay small integers. */
const SEQUENCE_MASK = 0x0fff_ffff;
const INITIAL_CAPACITY = 16;
/** Of an entry, above its packet identifier: what it waited for is true. Above that, the reason code. */
const SETTLED = 0x1_0000;
const REASON_SHIFT = 17;

/**
 * The acknowledgements that one connection owes for one kind of packet, in order of receipt: PUBACKs
 * ([MQTT-4.6.0-2]) or PUBRECs ([MQTT-4.6.0-3]). A ring; a message is one array element, not an object, and one
 * array and not several, because of a device that is seldom heard of none of it is in the processor's cache.
 */
export class AckQueue {
  /** Packet identifiers, with SETTLED and the reason. */
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
  settle(sequence: number, reason: ReasonCode): boolean {
    const age = (sequence - this.#head) & SEQUENCE_MASK;
    if (age >= this.#size) return false;
    const entry = this.#entries[sequence & this.#mask] as number;
    if (entry >= SETTLED) return false;
    this.#entries[sequence & this.#mask] = entry | SETTLED | (reason << REASON_SHIFT);
    return true;
  }

  /** Writes the packets that may leave to a position of the buffer. Returns the position behind them. */
  drain(type: number, codec: Codec, buffer: Buffer, from: number): number {
    let at = from;
    while (this.ready) {
      const entry = this.#entries[this.#head & this.#mask] as number;
      at = codec.writeAck(type, entry & 0xffff, (entry >>> REASON_SHIFT) as ReasonCode, buffer, at);
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
