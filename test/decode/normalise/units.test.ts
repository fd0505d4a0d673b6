import { describe, expect, test } from 'vitest';
import { conversion, parseUnit } from '../../../src/decode/normalise/units.ts';

function convert(value: number, from: string, to: string): number {
  const result = conversion(from, to);
  if ('problem' in result) throw new Error(`${result.problem.code}: ${result.problem.expected}`);
  return value * result.linear.factor + result.linear.offset;
}

describe('a value keeps its meaning from one unit to another', () => {
  // Expected values by the definitions in UCUM's tables and NIST SP 811, appendix B.
  test.each([
    [212, '[degF]', 'Cel', 100],
    [-40, '[degF]', 'Cel', -40],
    [20, 'Cel', '[degF]', 68],
    [300, 'K', 'Cel', 26.85],
    [100, 'km/h', 'm/s', 27.77777777777778],
    [1, '[kn_i]', 'km/h', 1.852],
    [1, '[psi]', 'kPa', 6.894757293168361],
    [1013.25, 'mbar', 'hPa', 1013.25],
    [760, 'mm[Hg]', 'kPa', 101.32472],
    [1, 'kW.h', 'MJ', 3.6],
    [1500, 'W.h', 'kW.h', 1.5],
    [1, 'm3/h', 'L/min', 16.666666666666668],
    [1, '[gal_us]', 'L', 3.785411784],
    [45, '%', '1', 0.45],
    [400, '[ppm]', '%', 0.04],
    [1, 'KiBy', 'bit', 8192],
    [180, 'deg', 'rad', Math.PI],
    [5, 'mS/cm', 'S/m', 0.5],
    [60, '/min', 'Hz', 1],
    [12, '{pulses}', '1', 12],
    [3, '10*6', '1', 3_000_000],
    [1, 'm2.s-2', 'J/kg', 1],
    [9.80665, 'm/s2', '[g]', 1],
  ])('%d %s is %s %d', (value, from, to, expected) => {
    expect(convert(value, from, to)).toBeCloseTo(expected, 9);
  });

  test('exactly where the units are the same', () => {
    expect(conversion('hPa', 'mbar')).toEqual({ linear: { factor: 1, offset: 0 } });
  });
});

test.each([
  ['V', 'A', 'V', 'a unit that measures the same as A'],
  ['furlong', 'm', 'furlong', 'a UCUM unit that is known here'],
  ['m', 'metre', 'metre', 'a UCUM unit that is known here'],
  ['Cel/h', 'K/h', 'Cel/h', 'a UCUM unit that is known here'],
])('%s can not become %s', (from, to, code, expected) => {
  expect(conversion(from, to)).toEqual({ problem: { code, expected } });
});

test.each(['', '.', '/', 'm..s', '[', 'kmin', 'm^2', 'k%'])('%j is no unit', (code) => {
  expect(parseUnit(code)).toBeUndefined();
});
