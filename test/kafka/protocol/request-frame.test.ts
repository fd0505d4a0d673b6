import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeRequest } from '../../../src/kafka/protocol/request-frame.ts';

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
