import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SignalSpec } from '../../../src/core/profile/profile.ts';
import { Random } from '../../../src/testbed/fleet/random.ts';
import { Signal } from '../../../src/testbed/fleet/signal.ts';
import { signal } from './profiles.ts';

const HOUR = 3_600_000;
const MIDNIGHT = Date.UTC(2026, 0, 1);

const make = (spec: Partial<SignalSpec>, seed = 1): Signal => new Signal(signal(spec), new Random(seed, 's'));
const readDay = (made: Signal, stepMs = HOUR / 4): number[] =>
  Array.from({ length: (24 * HOUR) / stepMs }, (_, i) => made.read(MIDNIGHT + i * stepMs) as number);

describe('a simulated signal', () => {
  it('peaks at its hour and is lowest half a day away', () => {
    const day = readDay(make({ base: 20, amplitude: 5, peakHour: 15 }));
    expect(Math.abs(day.indexOf(Math.max(...day)) / 4 - 15)).toBeLessThan(2);
    expect(Math.abs(day.indexOf(Math.min(...day)) / 4 - 3)).toBeLessThan(2);
    expect(Math.max(...day) - Math.min(...day)).toBeCloseTo(10, 0);
  });

  it('shows about one digit below its noise, not sixteen', () => {
    for (const value of readDay(make({ base: 20, amplitude: 5, noise: 0.1 }))) {
      expect(value).toBe(Number(value.toFixed(2)));
    }
  });

  it('stays inside its limits', () => {
    const day = readDay(make({ base: 50, amplitude: 80, noise: 30, drift: 10, min: 0, max: 100 }));
    expect(Math.min(...day)).toBe(0);
    expect(Math.max(...day)).toBe(100);
  });

  it('drifts away, and comes back in the end', () => {
    const made = make({ base: 0, drift: 1 });
    const month = Array.from({ length: 24 * 300 }, (_, i) => made.read(MIDNIGHT + i * HOUR) as number);
    expect(Math.max(...month.map(Math.abs))).toBeGreaterThan(1);
    expect(Math.max(...month.map(Math.abs))).toBeLessThan(30);
  });

  it('as a counter grows by `base` an hour and never backwards, even if the clock jumps back', () => {
    const made = make({ base: 0.5, amplitude: 0.4, noise: 0.2, counter: true });
    const day = readDay(made, HOUR / 60);
    for (const [i, value] of day.entries()) expect(value).toBeGreaterThanOrEqual(day[i - 1] ?? 0);
    expect(day.at(-1)! - day[0]!).toBeGreaterThan(10);
    expect(day.at(-1)! - day[0]!).toBeLessThan(15);
    expect(made.read(MIDNIGHT - HOUR)).toBeGreaterThanOrEqual(day.at(-1)!);
  });

  it('is a whole number where the schema has one', () => {
    for (const counter of [true, false]) {
      const day = readDay(make({ base: 10, amplitude: 3, noise: 1, integer: true, counter }));
      expect(day.every(Number.isInteger)).toBe(true);
    }
  });

  it('keeps a state for a while and shows each of its choices', () => {
    const made = make({ choices: ['ok', 'degraded', 'off'] });
    const values = Array.from({ length: 2000 }, (_, i) => made.read(MIDNIGHT + i * 1000));
    const changes = values.filter((value, i) => i > 0 && value !== values[i - 1]).length;
    expect(new Set(values)).toEqual(new Set(['ok', 'degraded', 'off']));
    expect(changes).toBeLessThan(60);
  });

  it('is always a finite number, whatever its specification and the clock', () => {
    const number = fc.double({ min: -1e6, max: 1e6, noNaN: true });
    const size = fc.double({ min: 0, max: 1e6, noNaN: true });
    const spec = fc.record({
      base: number,
      amplitude: size,
      peakHour: fc.double({ min: 0, max: 24, noNaN: true }),
      noise: size,
      drift: size,
      counter: fc.boolean(),
      integer: fc.boolean(),
    });
    fc.assert(
      fc.property(spec, fc.array(fc.integer({ min: 0, max: 4e12 }), { maxLength: 20 }), (each, times) => {
        const made = make(each);
        for (const atMs of times) expect(Number.isFinite(made.read(atMs))).toBe(true);
      }),
    );
  });
});
