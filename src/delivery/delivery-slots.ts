import type { PublicationOrigin, QoS, Topic } from '../core/publication.ts';
import type { Lane } from './disk/lane.ts';
import type { Account } from './ledger/ledger.ts';
import type { Position } from './ports.ts';

/** What completes with the record in a slot. */
export const SlotKind = { Record: 0, DeadLetter: 1 } as const;
export type SlotKind = (typeof SlotKind)[keyof typeof SlotKind];

/**
 * Deliveries in flight, as parallel arrays and a free list: a delivery costs no object and no closure. It grows to the
 * most that were ever in flight at once, which the producer's buffer and the journal's bound. Whoever takes a slot
 * fills the columns that it reads; the others stay empty.
 */
export class DeliverySlots {
  /** Who is told of the end; undefined: nobody, or it was told. */
  readonly origins: (PublicationOrigin | undefined)[] = [];
  readonly tokens: number[] = [];
  readonly accounts: Account[] = [];
  readonly kinds: SlotKind[] = [];
  readonly clientIds: string[] = [];
  /** Of direct deliveries: the rest of which PUBLISH it came from, should Kafka refuse the record. */
  readonly topics: Topic[] = [];
  readonly receivedAtMs: number[] = [];
  /** Of deliveries that may go by way of the disk: the same, as the journal keeps it. */
  readonly packetIds: number[] = [];
  readonly qos: QoS[] = [];
  readonly publicationNumbers: number[] = [];
  /** And how far they are. */
  readonly lanes: Lane[] = [];
  readonly awaits: number[] = [];
  readonly positions: Position[] = [];
  /** What they take in the producer, bytes, if they were read back; 0 for others. */
  readonly replayedBytes: number[] = [];
  readonly #free: number[] = [];

  take(
    origin: PublicationOrigin | undefined,
    token: number,
    account: Account,
    kind: SlotKind,
    clientId: string,
  ): number {
    const slot = this.#free.pop() ?? this.origins.length;
    this.origins[slot] = origin;
    this.tokens[slot] = token;
    this.accounts[slot] = account;
    this.kinds[slot] = kind;
    this.clientIds[slot] = clientId;
    return slot;
  }

  release(slot: number): void {
    this.origins[slot] = undefined;
    this.#free.push(slot);
  }
}
