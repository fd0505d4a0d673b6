import fc from 'fast-check';
import { generate } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import {
  FrameReader,
  type FrameHandler,
  type FrameProblem,
} from '../../../src/mqtt/connection/frame-reader.ts';
import { DEFAULT_LIMITS } from '../../../src/mqtt/limits.ts';
import { ReadAhead } from '../../../src/mqtt/connection/read-ahead.ts';
import { IngressStats } from '../../../src/mqtt/stats.ts';
import { publish } from '../harness.ts';

class Collector implements FrameHandler {
  readonly frames: string[] = [];
  readonly problems: FrameProblem[] = [];
  stopAfter = Number.POSITIVE_INFINITY;

  frame(header: number, buffer: Buffer, start: number, end: number): boolean {
    this.frames.push(`${header} ${buffer.toString('hex', start, end)}`);
    return this.frames.length % this.stopAfter !== 0;
  }

  unreadable(problem: FrameProblem): void {
    this.problems.push(problem);
  }
}

function newReader(maxFrameBytes = DEFAULT_LIMITS.maxPacketBytes, memoryLimitBytes = 1e9) {
  const handler = new Collector();
  const stats = new IngressStats();
  const memory = new ReadAhead({ readAheadBytes: 1_000, memoryLimitBytes }, stats);
  return { handler, stats, reader: new FrameReader(handler, memory, maxFrameBytes) };
}

const frame = fc
  .tuple(
    fc.integer({ min: 0, max: 255 }),
    fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 20_000, size: 'max' })),
  )
  .map(([header, body]) => ({ header, body }));

function encode({ header, body }: { header: number; body: Uint8Array }): Buffer {
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from([header, ...length]), body]);
}

/** Cuts bytes at arbitrary places. */
function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [
    0,
    ...cuts.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b),
    bytes.length,
  ];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

describe('FrameReader', () => {
  it('finds the same frames however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (frames, cuts) => {
          const { handler, reader, stats } = newReader();
          const bytes = Buffer.concat(frames.map(encode));
          for (const chunk of cut(bytes, cuts)) {
            // A copy that is overwritten afterwards, like the buffer that all sockets share.
            const shared = Buffer.from(chunk);
            expect(reader.read(shared, 0)).toBe(shared.length);
            shared.fill(0xee);
          }
          expect(handler.frames).toEqual(
            frames.map(({ header, body }) => `${header} ${Buffer.from(body).toString('hex')}`),
          );
          expect(handler.problems).toEqual([]);
          expect(stats.parkedBytes).toBe(0);
        },
      ),
    );
  });

  it('finds small frames that are cut everywhere', () => {
    const small = fc.record({
      header: fc.integer({ min: 0, max: 255 }),
      body: fc.uint8Array({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(small, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 3 }),
        (frames, size) => {
          const { handler, reader } = newReader();
          const bytes = Buffer.concat(frames.map(encode));
          for (let at = 0; at < bytes.length; at += size) reader.read(bytes.subarray(at, at + size), 0);
          expect(handler.frames).toEqual(
            frames.map(({ header, body }) => `${header} ${Buffer.from(body).toString('hex')}`),
          );
        },
      ),
    );
  });

  it('goes on where it was stopped, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.integer({ min: 1, max: 3 }),
        (frames, cuts, stopAfter) => {
          const { handler, reader } = newReader();
          handler.stopAfter = stopAfter;
          for (const chunk of cut(Buffer.concat(frames.map(encode)), cuts)) {
            for (let at = 0; at < chunk.length;) {
              const before = handler.frames.length;
              const next = reader.read(chunk, at);
              expect(next === chunk.length || handler.frames.length > before).toBe(true);
              at = next;
            }
          }
          expect(handler.frames).toHaveLength(frames.length);
        },
      ),
    );
  });

  it('never throws and never keeps more than a frame, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const { handler, reader, stats } = newReader(1_000);
        for (const chunk of chunks) {
          reader.read(Buffer.from(chunk), 0);
          expect(stats.parkedBytes).toBeLessThanOrEqual(1_000);
          if (handler.problems.length > 0) break;
        }
        reader.reset();
        expect(stats.parkedBytes).toBe(0);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses a remaining length of more than four bytes, also when it comes byte by byte', () => {
    for (const size of [1, 6]) {
      const { handler, reader } = newReader();
      const bytes = Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x01]);
      for (const chunk of cut(bytes, size === 1 ? [1, 2, 3, 4, 5] : [])) {
        if (handler.problems.length === 0) reader.read(chunk, 0);
      }
      expect(handler.problems).toEqual(['malformed-length']);
      expect(handler.frames).toEqual([]);
    }
  });

  it('accepts the longest remaining length that fits, and refuses one byte more before it comes', () => {
    const { handler, reader } = newReader(1_000);
    reader.read(encode({ header: 0x30, body: new Uint8Array(997) }), 0);
    expect(handler.frames).toHaveLength(1);
    const head = encode({ header: 0x30, body: new Uint8Array(998) }).subarray(0, 3);
    for (const chunk of [head.subarray(0, 1), head.subarray(1, 2), head.subarray(2)]) reader.read(chunk, 0);
    expect(handler.problems).toEqual(['too-large']);
  });

  it('takes memory for what has come, not for what was announced', () => {
    const { reader, stats } = newReader(10_000_000);
    reader.read(encode({ header: 0x30, body: new Uint8Array(9_000_000) }).subarray(0, 100), 0);
    expect(stats.parkedBytes).toBeLessThan(1_000);
  });

  it('gives up a frame for which there is no memory', () => {
    const { handler, reader, stats } = newReader(1_000_000, 100_000);
    stats.parkedBytes = 80_000;
    const bytes = generate(publish(1, 'a', 'x'.repeat(50_000)));
    for (const chunk of cut(bytes, [1_000, 5_000, 20_000])) {
      if (handler.problems.length === 0) reader.read(chunk, 0);
    }
    expect(handler.problems).toEqual(['no-memory']);
  });
});
