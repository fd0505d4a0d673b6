import type { AbandonReason, SessionMessage } from '../../core/device-sessions.ts';
import type { RecalledPublications } from '../../core/publication.ts';
import { localMessage, sizeOf } from '../broker/local-deliveries.ts';
import type { LocalMessage } from '../broker/local-deliveries.ts';
import type { IngressLimits } from '../limits.ts';
import type { IngressStats } from '../stats.ts';
import { filterMatches } from '../topics/topic-filter.ts';
import { Mailbox } from './mailbox.ts';
import type { Errand, Queued } from './mailbox.ts';
import type { StoreRecord, StoredMessage } from './store/store-record.ts';

/** A stored message for one session that will not be delivered, until its sender has taken note. */
export interface Abandoned {
  readonly ordinal: number;
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
  #nextOrdinal = 1;
  /** Ordinal of the next QoS 2 publication that is to be known after a restart. */
  nextPublication = 1;

  constructor(limits: IngressLimits, stats: IngressStats, number: (message: LocalMessage) => void) {
    this.#stats = stats;
    this.#number = number;
    this.retained = new RetainedMessages(limits, stats);
  }

  /** `errand`: it does not come by subscription, which numbers it. */
  push(mailbox: Mailbox, message: LocalMessage, errand?: Errand, ordinal = this.#nextOrdinal): Queued {
    if (errand !== undefined) this.#number(message);
    this.#nextOrdinal = Math.max(this.#nextOrdinal, ordinal + 1);
    const queued = mailbox.push(ordinal, message, errand);
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
    this.#nextOrdinal = Math.max(this.#nextOrdinal, abandoned.ordinal + 1);
    this.abandoned.set(abandoned.ordinal, abandoned);
    this.#stats.queuedBytes += abandoned.bytes;
  }

  /** Returns whether it was there. */
  forget(ordinal: number): boolean {
    const abandoned = this.abandoned.get(ordinal);
    if (abandoned === undefined) return false;
    this.abandoned.delete(ordinal);
    this.#stats.queuedBytes -= abandoned.bytes;
    return true;
  }

  /** Removes a session with everything in it. */
  end(mailbox: Mailbox): void {
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
    for (const { ordinal, reason, message } of this.abandoned.values()) {
      const { clientId } = message;
      yield [{ kind: 'abandoned', clientId, ordinal, reason, message: toStored(message) }];
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
  recall({ publications, nextOrdinal }: RecalledPublications, trusted: boolean): void {
    this.nextPublication = Math.max(this.nextPublication, nextOrdinal);
    for (const mailbox of this.mailboxes.values()) {
      mailbox.sinceOrdinal = this.nextPublication - 1;
      if (!trusted) mailbox.settledOrdinal = mailbox.sinceOrdinal;
    }
    for (const { clientId, packetId, ordinal } of publications) {
      const mailbox = this.mailboxes.get(clientId);
      if (mailbox !== undefined && ordinal > mailbox.settledOrdinal) take(mailbox, packetId, ordinal);
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
        this.forget(record.ordinal);
        return;
      case 'abandoned': {
        const { clientId, ordinal, reason, message } = record;
        const queued = this.mailboxes.get(clientId)?.find(ordinal);
        if (queued !== undefined) this.remove(this.mailboxes.get(clientId) as Mailbox, queued);
        this.forget(ordinal);
        const bytes = Mailbox.bytesOf(message);
        this.abandon({ ordinal, reason, bytes, message: toSessionMessage(clientId, message) });
        return;
      }
      case 'session': {
        const previous = this.mailboxes.get(record.clientId);
        if (previous !== undefined) this.end(previous);
        const mailbox = new Mailbox(record.clientId, true);
        mailbox.absentSinceMs = record.absentSinceMs;
        mailbox.settledOrdinal = record.settledOrdinal;
        this.nextPublication = Math.max(this.nextPublication, record.settledOrdinal + 1);
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
        take(mailbox, record.packetId, record.ordinal);
        this.nextPublication = Math.max(this.nextPublication, record.ordinal + 1);
        return;
      case 'released':
        release(mailbox, record.packetId);
        return;
      case 'queued':
        this.#restore(mailbox, record.ordinal, record.message);
        return;
      case 'sent':
      case 'received':
      case 'removed': {
        const queued = mailbox.find(record.ordinal);
        if (queued === undefined) return;
        if (record.kind === 'sent') mailbox.identify(queued, record.packetId);
        else if (record.kind === 'received') queued.message = undefined;
        else this.remove(mailbox, queued);
      }
    }
  }

  #restore(mailbox: Mailbox, ordinal: number, message: StoredMessage): void {
    const { topic, payload, qos } = message;
    const packet = localMessage(topic, payload, qos, false);
    if (message.reference === undefined) this.#number(packet);
    const errand =
      message.reference === undefined
        ? undefined
        : { message: toSessionMessage(mailbox.clientId, message), completed: undefined };
    this.push(mailbox, packet, errand, ordinal);
  }
}

/** The session knows of the publication: it is not taken for another one until its PUBREL. */
export function take(mailbox: Mailbox, packetId: number, ordinal: number): void {
  const takenIds = (mailbox.takenIds ??= new Map<number, number>());
  takenIds.set(packetId, Math.max(ordinal, takenIds.get(packetId) ?? 0));
}

/** PUBREL has come. Returns whether the session knew of a publication. */
export function release(mailbox: Mailbox | undefined, packetId: number): boolean {
  const ordinal = mailbox?.takenIds?.get(packetId);
  if (mailbox === undefined || ordinal === undefined) return false;
  mailbox.takenIds?.delete(packetId);
  mailbox.settledOrdinal = Math.max(mailbox.settledOrdinal, ordinal);
  return true;
}

/** Of what does not expire and nobody else wants to know about. */
const FOREVER = { expiresAtMs: Number.POSITIVE_INFINITY, reference: undefined };

function* recordsOf(mailbox: Mailbox): Generator<StoreRecord> {
  const { clientId, absentSinceMs, settledOrdinal } = mailbox;
  yield { kind: 'session', clientId, absentSinceMs, settledOrdinal };
  for (const { topic: filter, qos } of mailbox.subscriptions.values()) {
    yield { kind: 'subscribed', clientId, filter, qos };
  }
  for (const [packetId, ordinal] of mailbox.takenIds ?? [])
    yield { kind: 'taken', clientId, packetId, ordinal };
  for (const queued of mailbox.queue) {
    const { ordinal, messageId } = queued;
    yield { kind: 'queued', clientId, ordinal, message: storedMessage(queued) };
    if (messageId !== undefined) yield { kind: 'sent', clientId, ordinal, packetId: messageId };
    if (queued.message === undefined) yield { kind: 'received', clientId, ordinal };
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
