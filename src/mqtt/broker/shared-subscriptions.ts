import type { QoS } from '../../core/publication.ts';
import type { Mailbox, Share } from '../sessions/mailbox.ts';
import type { SessionStore } from '../sessions/session-store.ts';
import { isShared, plainFilter } from '../topics/topic-filter.ts';
import type { Deliver, Recipient } from './emitter.ts';
import { Delivery, type LocalMessage } from './local-message.ts';

/** What groups subscribe with. */
interface GroupBroker {
  subscribe(filter: string, deliver: Deliver): void;
  unsubscribe(filter: string, deliver: Deliver): void;
  deliverer(recipient: Recipient, qos: QoS): Deliver;
}

/** The groups that share a subscription: each message goes to one member. */
export class SharedSubscriptions {
  readonly #broker: GroupBroker;
  readonly #store: SessionStore;
  /** By their whole filter, `$share/...`. */
  readonly #groups = new Map<string, SharedGroup>();

  constructor(broker: GroupBroker, store: SessionStore) {
    this.#broker = broker;
    this.#store = store;
  }

  /** Members that an earlier life of the gateway has left. */
  restore(mailboxes: Iterable<Mailbox>): void {
    for (const mailbox of mailboxes) {
      for (const { topic, qos } of mailbox.subscriptions.values()) {
        if (isShared(topic)) this.join(topic, mailbox, qos);
      }
    }
  }

  /** Joins the group, or goes on in it with another QoS. */
  join(filter: string, mailbox: Mailbox, qos: QoS): void {
    const plain = plainFilter(filter);
    if (plain === undefined) return;
    let group = this.#groups.get(filter);
    if (group === undefined) {
      const created = new SharedGroup(this.#store, () => {
        this.#groups.delete(filter);
        this.#broker.unsubscribe(plain, deliver);
      });
      group = created;
      const deliver = this.#broker.deliverer(group, 2);
      this.#groups.set(filter, group);
      this.#broker.subscribe(plain, deliver);
    }
    group.join(mailbox, qos);
    mailbox.shares.set(filter, group);
  }
}

/**
 * The sessions that share one subscription. Who is present and reads gets messages in turn; with nobody present,
 * sessions that are kept get what has QoS 1 or 2 into their queues.
 */
class SharedGroup implements Recipient, Share {
  markedFor = 0;
  markedQos: QoS = 0;
  readonly #store: SessionStore;
  readonly #ended: () => void;
  readonly #members = new Map<Mailbox, QoS>();
  /** The members, made up when they are asked for; and whose turn it is. */
  #order: readonly Mailbox[] | undefined;
  #next = 0;

  /** `ended`: the last member has left. */
  constructor(store: SessionStore, ended: () => void) {
    this.#store = store;
    this.#ended = ended;
  }

  join(mailbox: Mailbox, qos: QoS): void {
    this.#members.set(mailbox, qos);
    this.#order = undefined;
  }

  leave(mailbox: Mailbox): void {
    if (!this.#members.delete(mailbox)) return;
    this.#order = undefined;
    if (this.#members.size === 0) this.#ended();
  }

  take(delivery: Delivery): void {
    this.#give(delivery);
  }

  redeliver(message: LocalMessage, from: Mailbox): boolean {
    return this.#give(new Delivery(message), from);
  }

  /** Returns false if no member but `except` takes it. */
  #give(delivery: Delivery, except?: Mailbox): boolean {
    const member = this.#choose(delivery.qos, except);
    if (member === undefined) return false;
    const granted = this.#members.get(member) as QoS;
    const { outlet } = member;
    if (outlet === undefined) {
      return this.#store.enqueue(member, delivery.kept(lower(delivery.qos, granted)), this) !== undefined;
    }
    outlet.take(delivery, granted, this);
    return true;
  }

  #choose(qos: QoS, except: Mailbox | undefined): Mailbox | undefined {
    const reading = this.#nextOf((member) => member !== except && member.outlet?.hasRoom === true);
    if (reading !== undefined) return reading;
    const present = this.#nextOf((member) => member !== except && member.outlet !== undefined);
    if (present !== undefined) return present;
    return this.#nextOf(
      (member) => member !== except && member.persistent && lower(qos, this.#members.get(member) as QoS) > 0,
    );
  }

  /** The next member, in turn, of which it is true. */
  #nextOf(isSuitable: (member: Mailbox) => boolean): Mailbox | undefined {
    const order = (this.#order ??= [...this.#members.keys()]);
    const count = order.length;
    for (let step = 0; step < count; step++) {
      const place = (this.#next + step) % count;
      const member = order[place] as Mailbox;
      if (!isSuitable(member)) continue;
      this.#next = (place + 1) % count;
      return member;
    }
    return undefined;
  }
}

const lower = (one: QoS, other: QoS): QoS => (one < other ? one : other);
