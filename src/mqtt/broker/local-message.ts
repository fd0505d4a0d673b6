/** A message on its way to local subscribers: a packet as aedes knows it. */
export interface LocalMessage {
  cmd: 'publish';
  brokerId: string;
  /** With brokerId: which message it is. Subscribers take only growing numbers. */
  brokerCounter: number;
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  /** Set by aedes on what comes out of a session's queue. */
  messageId?: number | undefined;
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

/** A message that has not been numbered yet. */
export function localMessage(
  topic: string,
  payload: Buffer,
  qos: LocalMessage['qos'],
  retain: boolean,
): LocalMessage {
  return { cmd: 'publish', brokerId: '', brokerCounter: 0, topic, payload, qos, retain, dup: false };
}
