import type { AbandonReason, SessionMessage } from '../../core/device-sessions.ts';
import type { RecalledPublications } from '../../core/publication.ts';
import { ownBytes, sizeOf, type LocalMessage } from '../broker/local-message.ts';
import type { IngressLimits } from '../limits.ts';
import type { IngressStats } from '../stats.ts';
import { filterCost, filterMatches } from '../topics/topic-filter.ts';
import { Mailbox, type Errand, type Queued, type Share, type StoredSubscription } from './mailbox.ts';
import type { StoreRecord, StoredMessage } from './store/store-record.ts';

/** A stored message for one session that will not be delivered, until its sender has taken note. */
export interface Abandoned {
  readonly queueNumber: number;
  readonly message: SessionMessage;
  readonly reason: AbandonReason;
  readonly bytes: number;
}

/** What changes a session that is there. */
type ChangeOfSession = Exclude<
  StoreRecord,
  { readonly kind: 'session' | 'abandoned' | 'forgotten' | 'retained' }
>;

const NOTHING = Buffer.alloc(0);
/** Every session may have filters of so many levels, whatever the others have. */
const RESERVED_FILTER_LEVELS = 32;

/** All that is kept of sessions and retained messages: in memory, to records, and from records. */
export class KeptState {
  readonly mailboxes = new Map<string, Mailbox>();
  readonly retained: RetainedMessages;
  readonly abandoned = new Map<number, Abandoned>();
  /** Subscriptions that were stored, and have no room. */
  leftOut = 0;
  readonly #limits: IngressLimits;
  readonly #stats: IngressStats;
  #nextQueueNumber = 1;
  /** Number of the next QoS 2 publication that is to be known after a restart. */
  nextPublication = 1;

  constructor(limits: IngressLimits, stats: IngressStats) {
    this.#limits = limits;
    this.#stats = stats;
    this.retained = new RetainedMessages(limits, stats);
  }

  push(mailbox: Mailbox, message: LocalMessage | undefined, more: QueuedOptions): Queued {
    const { queueNumber = this.#nextQueueNumber, kept = true, bytes, errand, share } = more;
    this.#nextQueueNumber = Math.max(this.#nextQueueNumber, queueNumber + 1);
    const queued: Queued = { queueNumber, message, messageId: undefined, bytes, kept, errand, share };
    mailbox.push(queued);
    this.#count(queued, 1);
    return queued;
  }

  remove(mailbox: Mailbox, queued: Queued): void {
    if (mailbox.remove(queued)) this.#count(queued, -1);
  }

  #count({ kept, bytes }: Queued, sign: 1 | -1): void {
    if (!kept) return;
    this.#stats.queuedMessages += sign;
    this.#stats.queuedBytes += sign * bytes;
  }

  subscribe(mailbox: Mailbox, subscription: StoredSubscription): void {
    this.unsubscribe(mailbox, subscription.topic);
    mailbox.subscriptions.set(subscription.topic, subscription);
    this.#countSubscription(mailbox, subscription, 1);
  }

  unsubscribe(mailbox: Mailbox, filter: string): void {
    const subscription = mailbox.subscriptions.get(filter);
    if (subscription === undefined) return;
    mailbox.subscriptions.delete(filter);
    this.#countSubscription(mailbox, subscription, -1);
  }

  #countSubscription(mailbox: Mailbox, { topic, qos }: StoredSubscription, sign: 1 | -1): void {
    const levels = sign * filterCost(topic);
    mailbox.filterLevels += levels;
    this.#stats.filterLevels += levels;
    if (mailbox.persistent && qos > 0) this.#stats.storedSubscriptions += sign;
  }

  /**
   * Whether a session may have `filters` more topic filters of `levels` levels. A few levels are every session's: all
   * others together can not take them away.
   */
  hasRoomFor({ subscriptions, filterLevels }: Mailbox, filters: number, levels: number): boolean {
    const { maxSubscriptions, maxFilterLevels } = this.#limits;
    if (subscriptions.size + filters > maxSubscriptions || filterLevels + levels > maxFilterLevels)
      return false;
    return this.#allHaveRoomFor(filterLevels, levels);
  }

  #allHaveRoomFor(had: number, added: number): boolean {
    if (had + added <= RESERVED_FILTER_LEVELS) return true;
    return this.#stats.filterLevels + added <= this.#limits.maxFilterLevelsTotal;
  }

  /** One that was stored under another bound, or by a version that had none, may have no room any more. */
  #applySubscribed(mailbox: Mailbox, subscription: StoredSubscription): void {
    const { topic } = subscription;
    const isThere = mailbox.subscriptions.has(topic);
    if (isThere || this.#allHaveRoomFor(mailbox.filterLevels, filterCost(topic))) {
      this.subscribe(mailbox, subscription);
    } else this.leftOut++;
  }

  /** Its bytes go on to count: whoever does not take note must not fill the memory. */
  abandon(abandoned: Abandoned): void {
    this.#nextQueueNumber = Math.max(this.#nextQueueNumber, abandoned.queueNumber + 1);
    this.abandoned.set(abandoned.queueNumber, abandoned);
    this.#stats.queuedBytes += abandoned.bytes;
  }

  /** Returns whether it was there. */
  forget(queueNumber: number): boolean {
    const abandoned = this.abandoned.get(queueNumber);
    if (abandoned === undefined) return false;
    this.abandoned.delete(queueNumber);
    this.#stats.queuedBytes -= abandoned.bytes;
    return true;
  }

  /** Removes a session with everything in it. */
  end(mailbox: Mailbox | undefined): void {
    if (mailbox === undefined) return;
    for (const queued of mailbox.queue.values()) this.remove(mailbox, queued);
    for (const filter of mailbox.subscriptions.keys()) this.unsubscribe(mailbox, filter);
    this.mailboxes.delete(mailbox.clientId);
  }

  // To records.

  /**
   * Everything, as the records that make it. To be read on while things change: what belongs together comes at
   * once, as it is at that moment.
   */
  *snapshot(): Generator<readonly StoreRecord[]> {
    for (const mailbox of this.mailboxes.values()) if (mailbox.persistent) yield [...recordsOf(mailbox)];
    for (const { queueNumber, reason, message } of this.abandoned.values()) {
      const { clientId } = message;
      yield [{ kind: 'abandoned', clientId, queueNumber, reason, message: toStored(message) }];
    }
    for (const { topic, payload, qos } of this.retained.values()) {
      if (topic.startsWith('$')) continue;
      yield [{ kind: 'retained', message: { topic, payload, qos, ...FOREVER } }];
    }
  }

  // From records.

  /**
   * A packet identifier whose release is missing would swallow another publication: all are forgotten, and what
   * devices repeat is produced again.
   */
  doubt(): void {
    for (const mailbox of this.mailboxes.values()) mailbox.takenIds = undefined;
  }

  /**
   * Takes over from a journal which publications are safe there. A crash may have come before the session could note
   * them: those that it has not settled are taken. `trusted`: no release is missing.
   */
  recall({ publications, nextPublicationNumber }: RecalledPublications, trusted: boolean): void {
    this.nextPublication = Math.max(this.nextPublication, nextPublicationNumber);
    for (const mailbox of this.mailboxes.values()) {
      mailbox.sincePublication = this.nextPublication - 1;
      if (!trusted) mailbox.settledPublication = mailbox.sincePublication;
    }
    for (const { clientId, packetId, publicationNumber } of publications) {
      const mailbox = this.mailboxes.get(clientId);
      if (mailbox === undefined || publicationNumber <= mailbox.settledPublication) continue;
      mailbox.take(packetId, publicationNumber);
    }
  }

  apply(record: StoreRecord): void {
    switch (record.kind) {
      case 'retained': {
        const { topic, payload, qos } = record.message;
        this.retained.put({ topic, payload, qos, retain: true });
        return;
      }
      case 'forgotten':
        this.forget(record.queueNumber);
        return;
      case 'abandoned': {
        const { clientId, queueNumber, reason, message } = record;
        const queued = this.mailboxes.get(clientId)?.queue.get(queueNumber);
        if (queued !== undefined) this.remove(this.mailboxes.get(clientId) as Mailbox, queued);
        this.forget(queueNumber);
        const bytes = Mailbox.bytesOf(message);
        this.abandon({ queueNumber, reason, bytes, message: toSessionMessage(clientId, message) });
        return;
      }
      case 'session': {
        this.end(this.mailboxes.get(record.clientId));
        const mailbox = new Mailbox(record.clientId, true);
        mailbox.absentSinceMs = record.absentSinceMs;
        mailbox.settledPublication = record.settledPublication;
        mailbox.sincePublication = record.settledPublication;
        this.nextPublication = Math.max(this.nextPublication, record.settledPublication + 1);
        this.mailboxes.set(record.clientId, mailbox);
        return;
      }
      default: {
        const mailbox = this.mailboxes.get(record.clientId);
        if (mailbox !== undefined) this.#applyTo(mailbox, record);
      }
    }
  }

  #applyTo(mailbox: Mailbox, record: ChangeOfSession): void {
    const { clientId } = mailbox;
    switch (record.kind) {
      case 'ended':
        this.end(mailbox);
        return;
      case 'absent':
        mailbox.absentSinceMs = record.absentSinceMs;
        return;
      case 'subscribed':
        this.#applySubscribed(mailbox, { clientId, topic: record.filter, qos: record.qos });
        return;
      case 'unsubscribed':
        this.unsubscribe(mailbox, record.filter);
        return;
      case 'taken':
        mailbox.take(record.packetId, record.publicationNumber);
        this.nextPublication = Math.max(this.nextPublication, record.publicationNumber + 1);
        return;
      case 'released':
        mailbox.release(record.packetId);
        return;
      case 'queued':
        this.#restore(mailbox, record.queueNumber, record.message);
        return;
      case 'sent':
      case 'received':
      case 'removed': {
        const queued = mailbox.queue.get(record.queueNumber);
        if (queued === undefined) return;
        if (record.kind === 'sent') mailbox.identify(queued, record.packetId);
        else if (record.kind === 'received') queued.message = undefined;
        else this.remove(mailbox, queued);
      }
    }
  }

  #restore(mailbox: Mailbox, queueNumber: number, message: StoredMessage): void {
    const { topic, payload, qos, reference } = message;
    const errand =
      reference === undefined
        ? undefined
        : { message: toSessionMessage(mailbox.clientId, message), completed: undefined };
    const bytes = Mailbox.bytesOf(message);
    this.push(mailbox, { topic, payload, qos, retain: false }, { queueNumber, bytes, errand });
  }
}

/** What a queued message has beside the message; see {@link Queued}. */
interface QueuedOptions extends Partial<Pick<Queued, 'kept' | 'queueNumber'>> {
  readonly bytes: number;
  readonly errand?: Errand | undefined;
  readonly share?: Share | undefined;
}

/** Of what does not expire and nobody else wants to know about. */
const FOREVER = { expiresAtMs: Number.POSITIVE_INFINITY, reference: undefined };

function* recordsOf(mailbox: Mailbox): Generator<StoreRecord> {
  const { clientId, absentSinceMs, settledPublication } = mailbox;
  yield { kind: 'session', clientId, absentSinceMs, settledPublication };
  for (const { topic: filter, qos } of mailbox.subscriptions.values()) {
    yield { kind: 'subscribed', clientId, filter, qos };
  }
  for (const [packetId, publicationNumber] of mailbox.takenIds ?? []) {
    yield { kind: 'taken', clientId, packetId, publicationNumber };
  }
  for (const queued of mailbox.queue.values()) {
    if (!queued.kept) continue;
    const { queueNumber, messageId } = queued;
    yield { kind: 'queued', clientId, queueNumber, message: storedMessage(queued) };
    if (messageId !== undefined) yield { kind: 'sent', clientId, queueNumber, packetId: messageId };
    if (queued.message === undefined) yield { kind: 'received', clientId, queueNumber };
  }
}

/** The message as records have it; an empty one if the subscriber has it. */
export function storedMessage({ message, errand }: Queued): StoredMessage {
  const stored = { topic: '', payload: NOTHING, qos: 2 as const, ...message, ...FOREVER };
  const { topic, payload, qos, expiresAtMs } = stored;
  if (errand === undefined) return { topic, payload, qos, expiresAtMs, reference: undefined };
  return toStored(errand.message);
}

export function toStored({ topic, payload, expiresAtMs, reference }: SessionMessage): StoredMessage {
  return { topic, payload, qos: 1, expiresAtMs: expiresAtMs ?? Number.POSITIVE_INFINITY, reference };
}

function toSessionMessage(clientId: string, message: StoredMessage): SessionMessage {
  const { topic, payload, expiresAtMs, reference } = message;
  const expiry = expiresAtMs === Number.POSITIVE_INFINITY ? {} : { expiresAtMs };
  return { clientId, topic, payload, reference: reference ?? '', ...expiry };
}

/** A retained message of a topic. */
interface Retained extends LocalMessage {
  /** Growing: which one it is of all that were ever retained. */
  readonly number: number;
}

/** The retained message of each topic (MQTT 3.1.1 section 3.3.1.3), bounded in number and bytes. */
export class RetainedMessages {
  readonly #limits: Pick<IngressLimits, 'maxRetainedMessages' | 'maxRetainedBytes'>;
  readonly #stats: IngressStats;
  readonly #messages = new Map<string, Retained>();
  #bytes = 0;
  #latest = 0;

  constructor(limits: Pick<IngressLimits, 'maxRetainedMessages' | 'maxRetainedBytes'>, stats: IngressStats) {
    this.#limits = limits;
    this.#stats = stats;
  }

  /**
   * Keeps a copy of a message; an empty payload deletes the topic's ([MQTT-3.3.1-10], [MQTT-3.3.1-11]). Returns
   * whether the topic's message is another one now.
   */
  put(message: LocalMessage): boolean {
    const { topic, payload, qos } = message;
    const previous = this.#messages.get(topic);
    if (previous !== undefined) {
      this.#messages.delete(topic);
      this.#bytes -= sizeOf(previous);
    }
    let kept = false;
    if (payload.length > 0) {
      const { maxRetainedMessages, maxRetainedBytes } = this.#limits;
      const bytes = this.#bytes + sizeOf(message);
      if (this.#messages.size >= maxRetainedMessages || bytes > maxRetainedBytes) {
        this.#stats.retainedRejected++;
      } else {
        const number = ++this.#latest;
        this.#messages.set(topic, { topic, payload: ownBytes(payload), qos, retain: true, number });
        this.#bytes = bytes;
        kept = true;
      }
    }
    this.#stats.retainedMessages = this.#messages.size;
    this.#stats.retainedBytes = this.#bytes;
    return kept || previous !== undefined;
  }

  get(topic: string): LocalMessage | undefined {
    return this.#messages.get(topic);
  }

  values(): Iterable<LocalMessage> {
    return this.#messages.values();
  }

  /**
   * The messages that match a filter and were retained when this was called, and still are when their turn comes:
   * what has come meanwhile has come by subscription. Undefined: it has looked at many, and may go on later.
   */
  matching(filter: string): Iterator<LocalMessage | undefined, undefined> {
    const upTo = this.#latest;
    return this.#matching(filter, upTo);
  }

  *#matching(filter: string, upTo: number): Generator<LocalMessage | undefined, undefined> {
    const isExact = !filter.includes('+') && !filter.includes('#');
    const candidates = isExact ? [this.#messages.get(filter)] : this.#messages.values();
    let looked = 0;
    for (const message of candidates) {
      // They stand in the order of their numbers.
      if (message === undefined || message.number > upTo) return undefined;
      if (filterMatches(filter, message.topic)) yield message;
      else if (++looked % RETAINED_SLICE === 0) yield undefined;
    }
    return undefined;
  }
}

/** So many retained messages are looked at in one go. */
const RETAINED_SLICE = 1_000;
