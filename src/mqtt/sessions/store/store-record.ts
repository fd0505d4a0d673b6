import type { AbandonReason } from '../../../core/device-sessions.ts';
import { ownBytes } from '../../broker/local-message.ts';

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

const REASONS = ['expired', 'no-session'] as const satisfies readonly AbandonReason[];

/** What a field of a record may be. */
interface FieldTypes {
  text: string;
  double: number;
  qos: 0 | 1 | 2;
  reason: AbandonReason;
  message: StoredMessage;
}

/**
 * The kinds of records, each with its fields. Stable: a file carries a kind as its place in this list, in one byte, and
 * then its fields in this order; texts behind u16 of length, payloads behind u32.
 */
const KINDS = [
  /** The session is there; what was known of it before does not count any more. */
  { kind: 'session', clientId: 'text', absentSinceMs: 'double', settledPublication: 'double' },
  /** Its client has come (0) or gone (wall clock, ms). */
  { kind: 'absent', clientId: 'text', absentSinceMs: 'double' },
  { kind: 'ended', clientId: 'text' },
  { kind: 'subscribed', clientId: 'text', qos: 'qos', filter: 'text' },
  { kind: 'unsubscribed', clientId: 'text', filter: 'text' },
  { kind: 'queued', clientId: 'text', queueNumber: 'double', message: 'message' },
  /** Sent under this packet identifier. */
  { kind: 'sent', clientId: 'text', queueNumber: 'double', packetId: 'double' },
  /** PUBREC has come: only PUBREL and PUBCOMP are left. */
  { kind: 'received', clientId: 'text', queueNumber: 'double' },
  { kind: 'removed', clientId: 'text', queueNumber: 'double' },
  /** A packet identifier of a QoS 2 publication of the client: between PUBREC and PUBREL. */
  { kind: 'taken', clientId: 'text', packetId: 'double', publicationNumber: 'double' },
  { kind: 'released', clientId: 'text', packetId: 'double' },
  /** A message for one session that will not be delivered, and whose sender has not been told yet. */
  { kind: 'abandoned', clientId: 'text', queueNumber: 'double', reason: 'reason', message: 'message' },
  { kind: 'forgotten', queueNumber: 'double' },
  /** An empty payload: the topic has no retained message any more. */
  { kind: 'retained', message: 'message' },
] as const;

type RecordOf<K> = {
  readonly [F in keyof K]: F extends 'kind' ? K[F] : K[F] extends keyof FieldTypes ? FieldTypes[K[F]] : never;
};
type Each<K> = K extends unknown ? RecordOf<K> : never;

/** One change of what is kept of sessions and retained messages. */
export type StoreRecord = Each<(typeof KINDS)[number]>;

interface Layout {
  readonly number: number;
  readonly fields: readonly (readonly [name: string, type: keyof FieldTypes])[];
}

const LAYOUTS = KINDS.map(({ kind, ...fields }, number) => ({
  kind,
  number,
  fields: Object.entries(fields),
}));
const LAYOUT_OF = new Map<string, Layout>(LAYOUTS.map((layout) => [layout.kind, layout]));

/** A record's bytes. */
export function encodeRecord(record: StoreRecord): Buffer {
  const { number, fields } = LAYOUT_OF.get(record.kind) as Layout;
  const writer = new FieldWriter();
  writer.byte(number);
  const values = record as unknown as Record<string, never>;
  for (const [name, type] of fields) writer[type](values[name] as never);
  return writer.bytes();
}

/** @throws RangeError for bytes that are no record, or one of a later version */
export function decodeRecord(bytes: Buffer): StoreRecord {
  const reader = new FieldReader(bytes);
  const layout = LAYOUTS[reader.byte()];
  if (layout === undefined) throw new RangeError('a record of an unknown kind');
  // In the order of the fields: each is read where the one before ends.
  const values = layout.fields.map(([name, type]) => [name, reader[type]()]);
  return { kind: layout.kind, ...Object.fromEntries(values) } as StoreRecord;
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

  qos(value: 0 | 1 | 2): void {
    this.byte(value);
  }

  reason(value: AbandonReason): void {
    this.byte(REASONS.indexOf(value));
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

  reason(): AbandonReason {
    return REASONS[this.byte()] ?? 'expired';
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
