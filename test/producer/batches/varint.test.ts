import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  VarintReader,
  varintSize,
  varlongSize,
  writeVarint,
  writeVarlong,
} from '../../../src/producer/batches/record-batch.ts';

/** The definition itself, in arithmetic that can't overflow. */
function reference(value: number): number[] {
  const big = BigInt(value);
  let zigzag = big >= 0n ? 2n * big : -2n * big - 1n;
  const bytes: number[] = [];
  while (zigzag > 127n) {
    bytes.push(Number(zigzag % 128n) + 128);
    zigzag /= 128n;
  }
  return [...bytes, Number(zigzag)];
}

const edges = [0, -1, 1, 63, 64, -64, -65, 2 ** 31 - 1, -(2 ** 31)];

describe('variable-length integers', () => {
  it('variable-length integers of 32 bits are written, sized and read as the protocol guide says', () => {
    const check = (value: number) => {
      const buffer = Buffer.alloc(8);
      const end = writeVarint(buffer, value, 0);
      expect([...buffer.subarray(0, end)]).toEqual(reference(value));
      expect(varintSize(value)).toBe(end);
      expect(new VarintReader(buffer, 0).varint()).toBe(value);
    };
    edges.forEach(check);
    fc.assert(fc.property(fc.integer(), check));
  });

  it('variable-length integers of up to 53 bits are written, sized and read exactly, so that weeks between two records do not wrap', () => {
    const check = (value: number) => {
      const buffer = Buffer.alloc(12);
      const end = writeVarlong(buffer, value, 0);
      expect([...buffer.subarray(0, end)]).toEqual(reference(value));
      expect(varlongSize(value)).toBe(end);
      expect(new VarintReader(buffer, 0).varlong()).toBe(value);
    };
    [...edges, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER].forEach(
      check,
    );
    fc.assert(fc.property(fc.maxSafeInteger(), check));
  });
});
