import type { QoS } from '../../src/core/publication.ts';
import { SimulatedDevice } from '../../src/testbed/fleet/device.ts';
import type { SimulatedType } from '../../src/testbed/fleet/device.ts';

/** The PUBLISH packets of one device, encoded one behind the other, to be sent over and over in a ring. */
export interface FrameRing {
  readonly bytes: Buffer;
  /** Where frame i begins; one more than there are frames, the last one is the end. */
  readonly offsets: Uint32Array;
  readonly length: number;
}

export interface RingOptions {
  readonly type: SimulatedType;
  /** 1, 2, ...; the device's name and readings follow from it. */
  readonly number: number;
  readonly qos: QoS;
  /** Frames in the ring, 1 to 65,535; the packet identifier of frame i is i + 1. */
  readonly length: number;
  readonly nowMs: number;
}

const PUBLISH = 0x30;
const READING_EVERY_MS = 1_000;

/**
 * Encodes what a simulated device would send over the last `length` seconds: every message another reading,
 * event time and sequence, as compressible as a real fleet's. After `length` messages the ring repeats, far
 * behind the record batch in which a compressor could make use of it.
 */
export function encodeRing({ type, number, qos, length, nowMs }: RingOptions): FrameRing {
  const device = new SimulatedDevice(type, number, { seed: 1, prefix: 'load-' });
  const topic = Buffer.from(device.topic, 'utf8');
  const frames: Buffer[] = [];
  const offsets = new Uint32Array(length + 1);
  for (let i = 0; i < length; i++) {
    const payload = device.read(i + 1, nowMs - (length - i) * READING_EVERY_MS);
    const frame = encodePublish(topic, payload, qos, i + 1);
    frames.push(frame);
    offsets[i + 1] = (offsets[i] as number) + frame.length;
  }
  return { bytes: Buffer.concat(frames), offsets, length };
}

/** MQTT 3.1.1 section 3.3. */
function encodePublish(topic: Buffer, payload: Uint8Array, qos: QoS, packetId: number): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(topic.length);
  const id = Buffer.alloc(qos > 0 ? 2 : 0);
  if (qos > 0) id.writeUInt16BE(packetId);
  return packet(PUBLISH | (qos << 1), [head, topic, id, payload]);
}

/** MQTT 3.1.1 section 3.1: clean session, no will, no credentials. */
export function encodeConnect(clientId: string, keepaliveSeconds: number): Buffer {
  const id = Buffer.from(clientId, 'utf8');
  const fixed = Buffer.from([0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 0, 0, 0]);
  fixed.writeUInt16BE(keepaliveSeconds, 8);
  fixed.writeUInt16BE(id.length, 10);
  return packet(0x10, [fixed, id]);
}

export const DISCONNECT = Buffer.from([0xe0, 0]);

function packet(first: number, parts: readonly Uint8Array[]): Buffer {
  let remaining = parts.reduce((sum, part) => sum + part.length, 0);
  const head = [first];
  do {
    const more = remaining > 127 ? 0x80 : 0;
    head.push((remaining & 0x7f) | more);
    remaining >>>= 7;
  } while (remaining > 0);
  return Buffer.concat([Buffer.from(head), ...parts]);
}
