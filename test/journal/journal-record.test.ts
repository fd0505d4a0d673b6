import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeHeaders } from '../../src/core/record.ts';
import {
  decodeRecord,
  emptyJournalRecord,
  encodeRecord,
  recordBoundBytes,
  recordFault,
} from '../../src/journal/journal-record.ts';

const bytes = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: null });
const text = fc.string({ unit: 'grapheme', maxLength: 40 });

describe('the record codec', () => {
  it('gives back every record as it was, null and empty told apart, within the bound', () => {
    fc.assert(
      fc.property(
        fc.record({ topic: text, key: bytes, value: bytes, timestampMs: fc.maxSafeNat() }),
        fc.record({
          account: text,
          clientId: text,
          packetId: fc.integer({ min: 0, max: 65_535 }),
          publicationNumber: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
          qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
        }),
        fc.array(fc.record({ key: text, value: bytes }), { maxLength: 4 }),
        (fields, meta, headerList) => {
          const record = { ...fields, headers: encodeHeaders(headerList) };
          expect(recordFault(record, meta)).toBeUndefined();
          const bound = recordBoundBytes(record, meta);
          const buffer = Buffer.from(new SharedArrayBuffer(bound + 3));
          const end = encodeRecord(buffer, 3, record, meta);
          expect(end).toBeLessThanOrEqual(bound + 3);
          const read = emptyJournalRecord();
          expect(decodeRecord(buffer, 3, end, read)).toBe(true);
          const plain = (value: Uint8Array | null): number[] | null => (value === null ? null : [...value]);
          expect({
            ...read,
            key: plain(read.key),
            value: plain(read.value),
            headers: [...read.headers],
          }).toEqual({
            ...record,
            ...meta,
            key: plain(record.key),
            value: plain(record.value),
            headers: [...record.headers],
            position: 0,
          });
          // Cut short, it is not taken for a record.
          for (let cut = 3; cut < end - record.headers.length; cut++) {
            expect(decodeRecord(buffer, 3, cut, read)).toBe(false);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses a timestamp that is no whole number of milliseconds', () => {
    const meta = { account: '', clientId: '', packetId: 0, qos: 0 as const, publicationNumber: 0 };
    for (const timestampMs of [-1, 1.5, Number.NaN, 2 ** 60]) {
      const record = { topic: 't', key: null, value: null, headers: encodeHeaders([]), timestampMs };
      expect(recordFault(record, meta)).toContain('timestamp');
    }
  });
});
