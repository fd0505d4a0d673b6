import { PacketType } from '../connection/control-packets.ts';
import type { Transport } from '../edge/transport.ts';
import type { IngressStats } from '../stats.ts';
import { AckQueue } from './ack-queue.ts';

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
    const end = acks.drain(this.#slab, start, start + bytes, this.#stats);
    transport.write(this.#slab.subarray(start, end));
    // The kernel takes a few bytes at once, as a rule; then the memory is free again. Otherwise it must stay.
    this.#used = transport.writableLength === 0 ? start : end;
  }
}

const PUBACK = PacketType.Puback << 4;
const PUBREC = PacketType.Pubrec << 4;
const PUBCOMP = PacketType.Pubcomp << 4;
const ACK_BYTES = 4;

/**
 * What one connection owes its device. PUBACKs and PUBRECs leave in order of receipt, each among themselves: a
 * slow QoS 2 publication must not hold up a PUBACK.
 */
export class Acknowledgements {
  readonly #pubacks = new AckQueue();
  /** Of the few devices that use QoS 2, from their first one on. */
  #pubrecs: AckQueue | undefined;
  /** Packet identifiers of PUBRELs, which are answered at once. */
  #pubcomps: number[] | undefined;

  /** Publications without PUBACK or PUBREC. */
  get owed(): number {
    return this.#pubacks.size + (this.#pubrecs?.size ?? 0);
  }

  /** Owes a PUBACK or PUBREC; returns its sequence among those of the QoS. */
  open(qos: number, packetId: number, fingerprint?: number): number {
    return this.#of(qos).open(packetId, fingerprint);
  }

  #of(qos: number): AckQueue {
    return qos === 1 ? this.#pubacks : (this.#pubrecs ??= new AckQueue());
  }

  /** The sequence of the PUBACK that is owed for this very publication and may not leave yet. */
  findQos1(packetId: number, fingerprint: number): number | undefined {
    return this.#pubacks.find(packetId, fingerprint);
  }

  /** Takes back the last {@link open}. */
  withdraw(qos: number): void {
    this.#of(qos).withdraw();
  }

  packetId(qos: number, sequence: number): number {
    return this.#of(qos).packetId(sequence);
  }

  /** It may leave, when its turn comes. Returns false if it could before. */
  settle(qos: number, sequence: number): boolean {
    return this.#of(qos).settle(sequence);
  }

  /** Owes a PUBCOMP. */
  release(packetId: number): void {
    this.#pubcomps ??= [];
    this.#pubcomps.push(packetId);
  }

  /** Room that {@link drain} needs; 0 if nothing may leave. */
  get readyBytes(): number {
    const ready = this.#pubacks.ready || this.#pubrecs?.ready === true || this.#pubcomps !== undefined;
    return ready ? ACK_BYTES * (this.owed + (this.#pubcomps?.length ?? 0)) : 0;
  }

  /** Writes what may leave into buffer[offset, end). Returns the position behind it. */
  drain(buffer: Buffer, offset: number, end: number, stats: IngressStats): number {
    const pubrecsAt = this.#pubacks.drain(PUBACK, buffer, offset, end);
    const pubcompsAt = this.#pubrecs?.drain(PUBREC, buffer, pubrecsAt, end) ?? pubrecsAt;
    stats.acknowledged[1] += (pubrecsAt - offset) / ACK_BYTES;
    stats.acknowledged[2] += (pubcompsAt - pubrecsAt) / ACK_BYTES;
    if (this.#pubcomps === undefined) return pubcompsAt;
    let at = pubcompsAt;
    for (const packetId of this.#pubcomps) {
      buffer[at++] = PUBCOMP;
      buffer[at++] = 2;
      buffer[at++] = packetId >>> 8;
      buffer[at++] = packetId & 0xff;
    }
    this.#pubcomps = undefined;
    return at;
  }

  /** Drops what may leave: the connection is gone. */
  forget(): void {
    this.#pubacks.forgetSettled();
    this.#pubrecs?.forgetSettled();
    this.#pubcomps = undefined;
  }
}
