import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameSplitter, NotKafkaError, encodeRequest } from '../../../src/kafka/protocol/frames.ts';

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

const api = { key: 3, version: 12, requestTags: true, responseTags: true };

it('a request is its size, its header and its body, whatever the pieces of the body', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 4_090, max: 9_000 }).map((length) => new Uint8Array(length).fill(length)),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (body, requestTags) => {
      const bytes = Buffer.concat(encodeRequest({ ...api, requestTags }, 77, Buffer.from('büro'), body));
      const header = Buffer.from([0, 3, 0, 12, 0, 0, 0, 77, 0, 5, ...Buffer.from('büro')]);
      const tags = Buffer.alloc(requestTags ? 1 : 0);
      expect(bytes.readInt32BE(0)).toBe(bytes.length - 4);
      expect(bytes.subarray(4).equals(Buffer.concat([header, tags, ...body]))).toBe(true);
    }),
  );
});

it('records are written from where they are, and everything small around them in one piece each', () => {
  const records = Buffer.alloc(100_000, 1);
  const small = Buffer.alloc(61);
  const pieces = encodeRequest(api, 1, Buffer.from('c'), [small, records, small, small, records]);
  expect(pieces).toHaveLength(4);
  expect(pieces[1]).toBe(records);
  expect(pieces[3]).toBe(records);
});
