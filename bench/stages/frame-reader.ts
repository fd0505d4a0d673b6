import { FrameReader } from '../../src/mqtt/connection/frame-reader.ts';
import type { ReadAhead } from '../../src/mqtt/connection/read-ahead.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

const CHUNK_BYTES = 16 * 1024;

/** Cuts a socket's chunks into frames. */
export const stage: Stage = {
  name: 'frame reader',
  prepare() {
    const all = messages();
    const bytes = Buffer.concat(all.map(({ topic, payload }, i) => publish(topic, payload, i + 1)));
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
    let sum = 0;
    const reader = new FrameReader(
      {
        frame: (header, _buffer, start, end) => {
          sum += header + end - start;
          return true;
        },
        unreadable: (problem) => {
          throw new Error(problem);
        },
      },
      { count: () => {}, allowsPartial: () => true } as unknown as ReadAhead,
      1_000_000,
    );
    return {
      messages: all.length,
      run() {
        sum = 0;
        for (const chunk of chunks) reader.read(chunk, 0);
        return sum;
      },
    };
  },
};

/** MQTT 3.1.1 section 3.3, QoS 1. */
function publish(topic: string, payload: Buffer, packetId: number): Buffer {
  const name = Buffer.from(topic);
  const remaining = 2 + name.length + 2 + payload.length;
  const head = Buffer.from([
    0x32,
    (remaining & 0x7f) | 0x80,
    remaining >> 7,
    name.length >> 8,
    name.length & 0xff,
  ]);
  return Buffer.concat([head, name, Buffer.from([packetId >> 8, packetId & 0xff]), payload]);
}
