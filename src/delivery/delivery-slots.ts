import type { Publication, PublicationOrigin, Topic } from '../core/publication.ts';
import type { Account } from './ledger/ledger.ts';

/** What completes with the record in a slot. */
export const SlotKind = { Record: 0, DeadLetter: 1 } as const;
export type SlotKind = (typeof SlotKind)[keyof typeof SlotKind];

/**
 * The deliveries in flight, as parallel arrays and a free list: a delivery costs no object and no closure.
 * It grows to the most that were ever in flight at once, which the producer's buffer bounds.
 */
export class DeliverySlots {
  readonly #origins: (PublicationOrigin | undefined)[] = [];
  readonly #tokens: number[] = [];
  readonly #accounts: Account[] = [];
  readonly #kinds: SlotKind[] = [];
  /** Which PUBLISH it came from, should Kafka refuse the record. */
  readonly #clientIds: string[] = [];
  readonly #topics: Topic[] = [];
  readonly #receivedAtMs: number[] = [];
  readonly #free: number[] = [];

  /** Takes a slot; without an origin nobody is told of its end. */
  take(
    origin: PublicationOrigin | undefined,
    token: number,
    account: Account,
    kind: SlotKind,
    { clientId, topic, receivedAtMs }: Publication,
  ): number {
    const slot = this.#free.pop() ?? this.#origins.length;
    this.#origins[slot] = origin;
    this.#tokens[slot] = token;
    this.#accounts[slot] = account;
    this.#kinds[slot] = kind;
    this.#clientIds[slot] = clientId;
    this.#topics[slot] = topic;
    this.#receivedAtMs[slot] = receivedAtMs;
    return slot;
  }

  release(slot: number): void {
    this.#origins[slot] = undefined;
    this.#free.push(slot);
  }

  origin(slot: number): PublicationOrigin | undefined {
    return this.#origins[slot];
  }

  token(slot: number): number {
    return this.#tokens[slot] as number;
  }

  account(slot: number): Account {
    return this.#accounts[slot] as Account;
  }

  source(slot: number): {
    readonly clientId: string;
    readonly mqttTopic: string;
    readonly receivedAtMs: number;
  } {
    return {
      clientId: this.#clientIds[slot] as string,
      mqttTopic: (this.#topics[slot] as Topic).name,
      receivedAtMs: this.#receivedAtMs[slot] as number,
    };
  }

  /** Kafka refused the record in the slot: its dead letter takes its place. */
  becomeDeadLetter(slot: number): void {
    this.#kinds[slot] = SlotKind.DeadLetter;
  }

  kind(slot: number): SlotKind {
    return this.#kinds[slot] as SlotKind;
  }
}
