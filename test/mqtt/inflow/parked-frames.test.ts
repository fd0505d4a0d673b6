import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ParkedFrames, ParkedKind, PublishFrame } from '../../../src/mqtt/inflow/parked-frames.ts';
import { ReadAhead } from '../../../src/mqtt/connection/read-ahead.ts';
import { IngressStats } from '../../../src/mqtt/stats.ts';

const newParked = () => {
  const stats = new IngressStats();
  const memory = new ReadAhead({ readAheadBytes: 65_536, memoryLimitBytes: 1e9 }, stats);
  return { stats, memory, parked: new ParkedFrames(memory) };
};

describe('ParkedFrames', () => {
  it('gives back what was parked, in order, as it was, and all its memory', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.option(
            fc.tuple(
              fc.uint8Array({ maxLength: 3_000, size: 'max' }),
              fc.constantFrom(0x30, 0x31, 0x32, 0x33, 0x3a, 0x34, 0x3d),
              fc.nat({ max: 1e9 }),
            ),
            { freq: 3 },
          ),
          { maxLength: 120 },
        ),
        (steps) => {
          const { parked, stats } = newParked();
          const frame = new PublishFrame();
          const expected: [string, number, number][] = [];
          const check = (): void => {
            const [body, header, at] = expected.shift()!;
            parked.read(frame);
            expect(frame.buffer.toString('hex', frame.start, frame.end)).toBe(body);
            expect(frame.header).toBe(header);
            expect(frame.receivedAtMs).toBe(1_700_000_000_000 + at);
            expect(parked.kind).toBe(ParkedKind.Publish);
            parked.shift();
          };
          for (const step of steps) {
            if (step !== null) {
              const [payload, header, at] = step;
              // The topic "a", and packet identifier 7.
              const body = Buffer.concat([Buffer.from([0, 1, 0x61, 0, 7]), payload]);
              const source = Buffer.concat([Buffer.from('before'), body, Buffer.from('after')]);
              const fault = frame.read(header, source, 6, 6 + body.length, 1_700_000_000_000 + at);
              expect(fault).toBeUndefined();
              parked.push(ParkedKind.Publish, frame);
              source.fill(0);
              expected.push([body.toString('hex'), header, at]);
            } else if (parked.count > 0) check();
            expect(parked.count).toBe(expected.length);
            expect(stats.parkedBytes >= parked.bytes).toBe(true);
          }
          while (parked.count > 0) check();
          expect(stats.parkedBytes).toBe(0);
        },
      ),
    );
  });

  it('counts apart what the sink has not seen', () => {
    const { parked } = newParked();
    const frame = new PublishFrame();
    frame.read(0x32, Buffer.from([0, 1, 0x61, 0, 7]), 0, 5, 0);
    for (const kind of [ParkedKind.Publish, ParkedKind.Acknowledge, ParkedKind.Repeat])
      parked.push(kind, frame);
    expect([parked.count, parked.publications]).toEqual([3, 1]);
    parked.shift();
    expect([parked.count, parked.publications, parked.kind]).toEqual([2, 0, ParkedKind.Acknowledge]);
  });
});

describe('ReadAhead', () => {
  it('allows each connection its read-ahead, less when all of them together would pass the limit', () => {
    const stats = new IngressStats();
    const memory = new ReadAhead({ readAheadBytes: 65_536, memoryLimitBytes: 268_435_456 }, stats);
    memory.holders = 100;
    expect(memory.allowanceBytes).toBe(65_536);
    memory.holders = 10_000;
    expect(memory.allowanceBytes).toBeGreaterThan(4_096);
    expect(10_000 * memory.allowanceBytes).toBeLessThan(268_435_456);
    memory.holders = 1_000_000;
    expect(memory.allowanceBytes).toBeLessThan(256);
  });
});
