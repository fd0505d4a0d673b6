import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { FrameSplitter } from '../../../src/kafka/proxy/frame-splitter.ts';

function frame(body: Uint8Array): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

describe('frames of a connection', () => {
  it('are found whatever the pieces in which the bytes come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 4, maxLength: 300 }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }),
        (bodies, sizes) => {
          const frames = bodies.map(frame);
          const all = Buffer.concat(frames);
          const splitter = new FrameSplitter();
          const found: Buffer[] = [];
          for (let at = 0, i = 0; at < all.length; i++) {
            const size = sizes[i % sizes.length] as number;
            found.push(...splitter.take(all.subarray(at, at + size)));
            at += size;
          }
          expect(found.map((each) => each.toString('hex'))).toEqual(
            frames.map((each) => each.toString('hex')),
          );
        },
      ),
    );
  });

  it('of a size that Kafka does not have are refused before anything is kept for them', () => {
    const splitter = new FrameSplitter();
    expect(() => splitter.take(Buffer.from('GET / HTTP/1.1\r\n'))).toThrow(RangeError);
    expect(() => new FrameSplitter().take(Buffer.from([0xff, 0xff, 0xff, 0xff]))).toThrow(RangeError);
  });
});
