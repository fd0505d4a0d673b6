import type { AbandonReason } from '../../../core/device-sessions.ts';
import { ownBytes } from '../../broker/local-deliveries.ts';

/** A message as a session keeps it. */
export interface StoredMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  /** Wall clock, ms; Infinity: never. */
  readonly expiresAtMs: number;
  /** Of a message for one session: its sender's; undefined: it came by subscription. */
  readonly reference: string | undefined;
}

/** One change of what is kept of sessions and retained messages. */
export type StoreRecord =
  /** The session is there; what was known of it before does not count any more. */
  | {
      readonly kind: 'session';
      readonly clientId: string;
      readonly absentSinceMs: number;
      readonly settledPublication: number;
    }
  /** Its client has come (0) or gone (wall clock, ms). */
  | { readonly kind: 'absent'; readonly clientId: string; readonly absentSinceMs: number }
  | { readonly kind: 'ended'; readonly clientId: string }
  | {
      readonly kind: 'subscribed';
      readonly clientId: string;
      readonly filter: string;
      readonly qos: 0 | 1 | 2;
    }
  | { readonly kind: 'unsubscribed'; readonly clientId: string; readonly filter: string }
  | {
      readonly kind: 'queued';
      readonly clientId: string;
      readonly queueNumber: number;
      readonly message: StoredMessage;
    }
  /** Sent under this packet identifier. */
  | {
      readonly kind: 'sent';
      readonly clientId: string;
      readonly queueNumber: number;
      readonly packetId: number;
    }
  /** PUBREC has come: only PUBREL and PUBCOMP are left. */
  | { readonly kind: 'received'; readonly clientId: string; readonly queueNumber: number }
  | { readonly kind: 'removed'; readonly clientId: string; readonly queueNumber: number }
  /** A packet identifier of a QoS 2 publication of the client: between PUBREC and PUBREL. */
  | {
      readonly kind: 'taken';
      readonly clientId: string;
      readonly packetId: number;
      readonly publicationNumber: number;
    }
  | { readonly kind: 'released'; readonly clientId: string; readonly packetId: number }
  /** A message for one session that will not be delivered, and whose sender has not been told yet. */
  | {
      readonly kind: 'abandoned';
      readonly clientId: string;
      readonly queueNumber: number;
      readonly reason: AbandonReason;
      readonly message: StoredMessage;
    }
  | { readonly kind: 'forgotten'; readonly queueNumber: number }
  /** An empty payload: the topic has no retained message any more. */
  | { readonly kind: 'retained'; readonly message: StoredMessage };

/** Stable: files carry these numbers. */
const KINDS = [
  'session',
  'absent',
  'ended',
  'subscribed',
  'unsubscribed',
  'queued',
  'sent',
  'received',
  'removed',
  'taken',
  'released',
  'abandoned',
  'forgotten',
  'retained',
] as const satisfies readonly StoreRecord['kind'][];

const REASONS = ['expired', 'no-session'] as const satisfies readonly AbandonReason[];

/** A record's bytes: u8 kind, then its fields in order; texts with u16 of length, payloads with u32. */
export function encodeRecord(record: StoreRecord): Buffer {
  const fields = new FieldWriter();
  fields.byte(KINDS.indexOf(record.kind));
  if ('clientId' in record) fields.text(record.clientId);
  switch (record.kind) {
    case 'session':
      fields.double(record.absentSinceMs);
      fields.double(record.settledPublication);
      break;
    case 'absent':
      fields.double(record.absentSinceMs);
      break;
    case 'subscribed':
      fields.byte(record.qos);
      fields.text(record.filter);
      break;
    case 'unsubscribed':
      fields.text(record.filter);
      break;
    case 'taken':
      fields.double(record.packetId);
      fields.double(record.publicationNumber);
      break;
    case 'released':
      fields.double(record.packetId);
      break;
    case 'sent':
      fields.double(record.queueNumber);
      fields.double(record.packetId);
      break;
    case 'received':
    case 'removed':
    case 'forgotten':
      fields.double(record.queueNumber);
      break;
    case 'abandoned':
      fields.double(record.queueNumber);
      fields.byte(REASONS.indexOf(record.reason));
      fields.message(record.message);
      break;
    case 'queued':
      fields.double(record.queueNumber);
      fields.message(record.message);
      break;
    case 'retained':
      fields.message(record.message);
      break;
    case 'ended':
  }
  return fields.bytes();
}

/** @throws RangeError for bytes that are no record, or one of a later version */
export function decodeRecord(bytes: Buffer): StoreRecord {
  const fields = new FieldReader(bytes);
  const kind = KINDS[fields.byte()];
  if (kind === undefined) throw new RangeError('a record of an unknown kind');
  if (kind === 'retained') return { kind, message: fields.message() };
  if (kind === 'forgotten') return { kind, queueNumber: fields.double() };
  const clientId = fields.text();
  switch (kind) {
    case 'session': {
      const absentSinceMs = fields.double();
      return { kind, clientId, absentSinceMs, settledPublication: fields.double() };
    }
    case 'absent':
      return { kind, clientId, absentSinceMs: fields.double() };
    case 'ended':
      return { kind, clientId };
    case 'subscribed': {
      const qos = fields.qos();
      return { kind, clientId, qos, filter: fields.text() };
    }
    case 'unsubscribed':
      return { kind, clientId, filter: fields.text() };
    case 'taken': {
      const packetId = fields.double();
      return { kind, clientId, packetId, publicationNumber: fields.double() };
    }
    case 'released':
      return { kind, clientId, packetId: fields.double() };
    case 'sent': {
      const queueNumber = fields.double();
      return { kind, clientId, queueNumber, packetId: fields.double() };
    }
    case 'received':
    case 'removed':
      return { kind, clientId, queueNumber: fields.double() };
    case 'queued': {
      const queueNumber = fields.double();
      return { kind, clientId, queueNumber, message: fields.message() };
    }
    case 'abandoned': {
      const queueNumber = fields.double();
      const reason = REASONS[fields.byte()] ?? 'expired';
      return { kind, clientId, queueNumber, reason, message: fields.message() };
    }
  }
}

class FieldWriter {
  readonly #parts: Buffer[] = [];

  byte(value: number): void {
    this.#parts.push(Buffer.of(value));
  }

  double(value: number): void {
    const part = Buffer.allocUnsafe(8);
    part.writeDoubleLE(value);
    this.#parts.push(part);
  }

  text(value: string): void {
    const text = Buffer.from(value, 'utf8');
    const length = Buffer.allocUnsafe(2);
    length.writeUInt16LE(text.length);
    this.#parts.push(length, text);
  }

  message({ topic, payload, qos, expiresAtMs, reference }: StoredMessage): void {
    this.byte(qos | (reference === undefined ? 0 : 4));
    this.double(expiresAtMs);
    this.text(topic);
    if (reference !== undefined) this.text(reference);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(payload.length);
    this.#parts.push(length, payload);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#at++);
  }

  qos(): 0 | 1 | 2 {
    return (this.byte() & 3) as 0 | 1 | 2;
  }

  double(): number {
    this.#at += 8;
    return this.#bytes.readDoubleLE(this.#at - 8);
  }

  text(): string {
    const length = this.#bytes.readUInt16LE(this.#at);
    this.#at += 2;
    return this.#take(length).toString('utf8');
  }

  message(): StoredMessage {
    const flags = this.byte();
    const expiresAtMs = this.double();
    const topic = this.text();
    const reference = (flags & 4) === 0 ? undefined : this.text();
    const length = this.#bytes.readUInt32LE(this.#at);
    this.#at += 4;
    // A view would keep the whole file in memory.
    const payload = ownBytes(this.#take(length));
    return { topic, payload, qos: (flags & 3) as 0 | 1 | 2, expiresAtMs, reference };
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('a record that is cut off');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
