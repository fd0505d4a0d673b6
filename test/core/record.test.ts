import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appendHeaders, decodeHeaders, encodeHeaders } from '../../src/core/record.ts';

const headers = fc.array(
  fc.record({ key: fc.string({ unit: 'grapheme' }), value: fc.option(fc.uint8Array({ maxLength: 200 })) }),
  { maxLength: 150 },
);

describe('encoded headers', () => {
  it('with more appended are those of both lists, encoded at once', () => {
    fc.assert(
      fc.property(headers, headers, (first, more) => {
        const appended = Buffer.from(appendHeaders(encodeHeaders(first), more));
        expect(appended.equals(encodeHeaders([...first, ...more]))).toBe(true);
      }),
    );
  });

  it('are read as what was written', () => {
    fc.assert(
      fc.property(headers, (list) => {
        const read = decodeHeaders(encodeHeaders(list));
        expect(read.map(({ key, value }) => ({ key, value: value && new Uint8Array(value) }))).toEqual(list);
      }),
    );
  });
});
