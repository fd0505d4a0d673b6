import { expect, test } from 'vitest';
import type { TimeUnit } from '../../../src/core/profile/normaliser-spec.ts';
import { isWithinWindow, readEventTime } from '../../../src/decode/normalise/event-time.ts';
import { FieldValues, ValueKind } from '../../../src/decode/formats/field-values.ts';

function time(value: number | bigint | undefined, unit: TimeUnit): number | undefined {
  const values = new FieldValues(1);
  if (typeof value === 'number') {
    values.kind[0] = ValueKind.Double;
    values.double[0] = value;
  } else if (value !== undefined) {
    values.kind[0] = ValueKind.Int;
    values.low[0] = Number(BigInt.asIntN(32, value));
    values.high[0] = Number(BigInt.asIntN(32, value >> 32n));
  }
  return readEventTime(values, 0, unit);
}

test.each([
  [1_767_225_600, 's', 1_767_225_600_000],
  [1_767_225_600.123, 's', 1_767_225_600_123],
  [1_767_225_600n, 's', 1_767_225_600_000],
  [1_767_225_600_123n, 'ms', 1_767_225_600_123],
  [1_767_225_600_123.9, 'ms', 1_767_225_600_123],
  [1_767_225_600_123_999n, 'us', 1_767_225_600_123],
  [1_767_225_600_123_000_000n, 'ns', 1_767_225_600_123],
  [-1n, 's', -1_000],
] as const)('%s %s is %s ms', (value, unit, expected) => {
  expect(time(value, unit)).toBe(expected);
});

test.each([
  [undefined, 'ms'],
  [0, 's'],
  [0n, 'ms'],
  [Number.NaN, 'ms'],
  [Infinity, 's'],
  [1e300, 's'],
  [2n ** 62n, 's'],
] as const)('%s %s is no time', (value, unit) => {
  expect(time(value, unit)).toBeNaN();
});

test('what is no number can not be a time', () => {
  const values = new FieldValues(1);
  values.kind[0] = ValueKind.Text;
  expect(readEventTime(values, 0, 'ms')).toBeUndefined();
});

test('the window reaches from 7 days before to 30 minutes after receipt', () => {
  const now = 1_767_225_600_000;
  const week = 7 * 24 * 3_600_000;
  const halfHour = 1_800_000;
  const inside = [now - week, now, now + halfHour].map((ms) => isWithinWindow(ms, now));
  const outside = [now - week - 1, now + halfHour + 1, 0, Number.NaN].map((ms) => isWithinWindow(ms, now));
  expect(inside).toEqual([true, true, true]);
  expect(outside).toEqual([false, false, false, false]);
});

test("a device's time is better than the gateway's while the gateway's clock has not been set", () => {
  const device = 1_767_225_600_000;
  expect([0, 60_000, 1_000_000_000_000].map((ms) => isWithinWindow(device, ms))).toEqual([true, true, true]);
  expect([60_000 + 3_600_000, Number.NaN].map((ms) => isWithinWindow(ms, 60_000))).toEqual([false, false]);
});
