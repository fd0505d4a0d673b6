import type { PublicationOrigin, QoS } from '../../core/publication.ts';
import type { SlotKind } from '../delivery-slots.ts';
import type { Position } from './journal-port.ts';
import type { Lane } from './lane.ts';
import type { Account } from '../ledger/ledger.ts';

/** What a stored delivery waits for; flags. */
export const Awaits = {
  /** Its record is on its way to the disk. */
  Disk: 1,
  /** Its record is in the producer. */
  Kafka: 2,
  /** What is on the disk is not to be sent: it became a dead letter. */
  Void: 4,
} as const;

/** Not on the disk, or not yet. */
export const NOWHERE: Position = -1;

/** Deliveries by way of the journal, as parallel arrays and a free list; see {@link DeliverySlots}. */
export class StoredSlots {
  readonly origins: (PublicationOrigin | undefined)[] = [];
  readonly tokens: number[] = [];
  readonly accounts: Account[] = [];
  readonly kinds: SlotKind[] = [];
  readonly lanes: Lane[] = [];
  readonly awaits: number[] = [];
  readonly positions: Position[] = [];
  /** Of records that may need a copy on the disk: which PUBLISH they came from. */
  readonly clientIds: string[] = [];
  readonly packetIds: number[] = [];
  readonly qos: QoS[] = [];
  readonly ordinals: number[] = [];
  /** Of records that were read back: what they take in the producer, bytes; 0 for others. */
  readonly replayedBytes: number[] = [];
  readonly #free: number[] = [];

  /** Without an origin nobody is told. */
  take(
    origin: PublicationOrigin | undefined,
    token: number,
    account: Account,
    kind: SlotKind,
    lane: Lane,
  ): number {
    const slot = this.#free.pop() ?? this.origins.length;
    this.origins[slot] = origin;
    this.tokens[slot] = token;
    this.accounts[slot] = account;
    this.kinds[slot] = kind;
    this.lanes[slot] = lane;
    this.awaits[slot] = 0;
    this.positions[slot] = NOWHERE;
    this.replayedBytes[slot] = 0;
    return slot;
  }

  release(slot: number): void {
    this.origins[slot] = undefined;
    this.#free.push(slot);
  }
}
