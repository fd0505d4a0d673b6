import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { FrameSplitter, NotKafkaError } from '../../../src/kafka/protocol/frame-splitter.ts';

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

  it.each([
    ['HTTP', 'HTTP/1.1 400 Bad Request', 'what it sends is HTTP: it is perhaps no Kafka broker', false],
    ['another text', 'SSH-2.0-OpenSSH', "what it sends begins with 'SSH-'", false],
    ['2 GiB', '\x7f\xff\xff\xff', 'what it sends has a size of 2147483647 bytes', false],
    ['a negative size', '\xff\xff\xff\xff', 'what it sends has a size of -1 bytes', false],
    ['less than a correlation id', '\0\0\0\x03', 'what it sends has a size of 3 bytes', false],
    ['a TLS alert', '\x15\x03\x03\0\x02', 'it speaks TLS', true],
  ])(
    'of a size that Kafka does not have are refused before anything is kept for them: %s',
    (_, text, why, isTls) => {
      const take = () => new FrameSplitter().take(Buffer.from(text, 'latin1'));
      expect(take).toThrow(NotKafkaError);
      expect(take).toThrow(
        expect.objectContaining({ message: expect.stringContaining(why) as string, isTls }),
      );
    },
  );

  it('that are not complete yet are known to be so', () => {
    const splitter = new FrameSplitter();
    const bytes = frame(Buffer.from('12345'));
    expect(splitter.isWithinFrame).toBe(false);
    splitter.take(bytes.subarray(0, 2));
    expect(splitter.isWithinFrame).toBe(true);
    splitter.take(bytes.subarray(2));
    expect(splitter.isWithinFrame).toBe(false);
  });
});
