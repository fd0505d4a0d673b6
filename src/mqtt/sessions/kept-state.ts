import type { AbandonReason, SessionMessage } from '../../core/device-sessions.ts';
import type { RecalledPublications } from '../../core/publication.ts';
import { localMessage, sizeOf, type LocalMessage } from '../broker/local-deliveries.ts';
import type { IngressLimits } from '../limits.ts';
import type { IngressStats } from '../stats.ts';
import { filterMatches } from '../topics/topic-filter.ts';
import { Mailbox, type Errand, type Queued } from './mailbox.ts';
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

/** All that is kept of sessions and retained messages: in memory, to records, and from records. */
export class KeptState {
  readonly mailboxes = new Map<string, Mailbox>();
  readonly retained: RetainedMessages;
  readonly abandoned = new Map<number, Abandoned>();
  readonly #stats: IngressStats;
  /** Gives a message its number among all that subscribers get. */
  readonly #number: (message: LocalMessage) => void;
  #nextQueueNumber = 1;
  /** Number of the next QoS 2 publication that is to be known after a restart. */
  nextPublication = 1;

  constructor(limits: IngressLimits, stats: IngressStats, number: (message: LocalMessage) => void) {
    this.#stats = stats;
    this.#number = number;
    this.retained = new RetainedMessages(limits, stats);
  }

  /** `errand`: it does not come by subscription, which numbers it. */
  push(
    mailbox: Mailbox,
    message: LocalMessage,
    errand?: Errand,
    queueNumber = this.#nextQueueNumber,
  ): Queued {
    if (errand !== undefined) this.#number(message);
    this.#nextQueueNumber = Math.max(this.#nextQueueNumber, queueNumber + 1);
    const queued = mailbox.push(queueNumber, message, errand);
    this.#stats.queuedMessages++;
    this.#stats.queuedBytes += queued.bytes;
    return queued;
  }

  remove(mailbox: Mailbox, queued: Queued): void {
    mailbox.remove(queued);
    this.#stats.queuedMessages--;
    this.#stats.queuedBytes -= queued.bytes;
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
    for (const queued of [...mailbox.queue]) this.remove(mailbox, queued);
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
        this.retained.put(localMessage(topic, payload, qos, true));
        return;
      }
      case 'forgotten':
        this.forget(record.queueNumber);
        return;
      case 'abandoned': {
        const { clientId, queueNumber, reason, message } = record;
        const queued = this.mailboxes.get(clientId)?.find(queueNumber);
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
        mailbox.subscriptions.set(record.filter, { clientId, topic: record.filter, qos: record.qos });
        return;
      case 'unsubscribed':
        mailbox.subscriptions.delete(record.filter);
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
        const queued = mailbox.find(record.queueNumber);
        if (queued === undefined) return;
        if (record.kind === 'sent') mailbox.identify(queued, record.packetId);
        else if (record.kind === 'received') queued.message = undefined;
        else this.remove(mailbox, queued);
      }
    }
  }

  #restore(mailbox: Mailbox, queueNumber: number, message: StoredMessage): void {
    const { topic, payload, qos } = message;
    const packet = localMessage(topic, payload, qos, false);
    if (message.reference === undefined) this.#number(packet);
    const errand =
      message.reference === undefined
        ? undefined
        : { message: toSessionMessage(mailbox.clientId, message), completed: undefined };
    this.push(mailbox, packet, errand, queueNumber);
  }
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
  for (const queued of mailbox.queue) {
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

/** The retained message of each topic (MQTT 3.1.1 section 3.3.1.3), bounded in number and bytes. */
export class RetainedMessages {
  readonly #limits: Pick<IngressLimits, 'maxRetainedMessages' | 'maxRetainedBytes'>;
  readonly #stats: IngressStats;
  readonly #messages = new Map<string, LocalMessage>();
  #bytes = 0;

  constructor(limits: Pick<IngressLimits, 'maxRetainedMessages' | 'maxRetainedBytes'>, stats: IngressStats) {
    this.#limits = limits;
    this.#stats = stats;
  }

  /**
   * Keeps a message; an empty payload deletes the topic's ([MQTT-3.3.1-10], [MQTT-3.3.1-11]). Returns whether the
   * topic's message is another one now.
   */
  put(message: LocalMessage): boolean {
    const previous = this.#messages.get(message.topic);
    if (previous !== undefined) {
      this.#messages.delete(message.topic);
      this.#bytes -= sizeOf(previous);
    }
    let kept = false;
    if (message.payload.length > 0) {
      const { maxRetainedMessages, maxRetainedBytes } = this.#limits;
      const bytes = this.#bytes + sizeOf(message);
      if (this.#messages.size >= maxRetainedMessages || bytes > maxRetainedBytes) {
        this.#stats.retainedRejected++;
      } else {
        this.#messages.set(message.topic, { ...message });
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

  /** The messages that match one of the filters; of several, each filter has its own ([MQTT-3.8.4-4]). */
  matching(filters: readonly string[]): LocalMessage[] {
    return filters.flatMap((filter) => {
      if (!filter.includes('+') && !filter.includes('#')) return this.#messages.get(filter) ?? [];
      return [...this.#messages.values()].filter(({ topic }) => filterMatches(filter, topic));
    });
  }
}
