import type { QoS } from '../../core/publication.ts';
import { DUP_FLAG, RETAIN_FLAG, type Codec, type PublishHead } from '../protocol/codec.ts';

/** A message for local subscribers, as it is kept. */
export interface LocalMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
}

/** What bounds of memory count, in bytes. */
export const sizeOf = ({ topic, payload }: { topic: string; payload: Uint8Array }): number =>
  topic.length + payload.length;

/**
 * The bytes in memory of their own, for what is kept. `Buffer.from` cuts small copies from a pool, and one that is kept
 * keeps the pool's 64 KB; a view keeps all that was read with it.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** Larger payloads are not copied for each subscriber. */
const MAX_COPIED_BYTES = 4_096;

/** A PUBLISH as it is written: its head, a small payload behind it in the same bytes; a large one beside it. */
export interface PublishFrame extends PublishHead {
  readonly payload: Buffer | undefined;
}

/** Encodes a PUBLISH; a large payload must stay as it is until it is written. */
export function encodePublish(codec: Codec, message: LocalMessage, dup: boolean): PublishFrame {
  const { topic, payload, qos, retain } = message;
  const flags = (qos << 1) | (retain ? RETAIN_FLAG : 0) | (dup ? DUP_FLAG : 0);
  const head = codec.publishHead(topic, payload.length, flags);
  if (payload.length > MAX_COPIED_BYTES) return { ...head, payload };
  return { bytes: Buffer.concat([head.bytes, payload]), packetIdAt: head.packetIdAt, payload: undefined };
}

/**
 * A message on its way to all its subscribers of this moment, lent: its payload is where it was read. It is copied, and
 * encoded, once for all that need it.
 */
export class Delivery implements LocalMessage {
  readonly topic: string;
  readonly qos: QoS;
  /** To those who have subscribed before it came, a message is not "retained" ([MQTT-3.3.1-9]). */
  readonly retain = false;
  #payload: Buffer;
  #isOwn = false;
  /** By format and QoS. */
  readonly #frames: (PublishFrame | undefined)[] = [];

  constructor({ topic, payload, qos }: Pick<LocalMessage, 'topic' | 'payload' | 'qos'>) {
    this.topic = topic;
    this.#payload = payload;
    this.qos = qos;
  }

  get payload(): Buffer {
    return this.#payload;
  }

  /** The message with this QoS, to be kept. */
  kept(qos: QoS): LocalMessage {
    if (!this.#isOwn) this.#payload = ownBytes(this.#payload);
    this.#isOwn = true;
    return { topic: this.topic, payload: this.#payload, qos, retain: false };
  }

  frame(codec: Codec, qos: QoS): PublishFrame {
    const index = 3 * codec.publishFormat + qos;
    const known = this.#frames[index];
    if (known !== undefined) return known;
    const { topic, payload } = this;
    const message =
      payload.length > MAX_COPIED_BYTES ? this.kept(qos) : { topic, payload, qos, retain: false };
    return (this.#frames[index] = encodePublish(codec, message, false));
  }
}
