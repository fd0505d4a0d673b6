import { expect, test } from 'vitest';
import { DeviceClock, DeviceTable } from '../../../src/decode/normalise/device-table.ts';

test("what a message took on its way doesn't count as the clock's error", () => {
  const clock = new DeviceClock();
  for (const delay of [400, 35, 9_000, 60]) clock.observe(5_000 + delay, 1_000);
  expect(clock.offsetMs).toBe(5_035);
});

test('a clock that drifts is followed', () => {
  const clock = new DeviceClock();
  for (let message = 0; message < 1_000; message++) clock.observe(message, message);
  // Of the last 64 to 128 messages the smallest.
  expect(clock.offsetMs).toBeGreaterThan(870);
});

test('a clock that was never measured is not known', () => {
  expect(new DeviceClock().offsetMs).toBe(Number.POSITIVE_INFINITY);
});

test('devices are remembered up to a bound, and the worst are named', () => {
  const table = new DeviceTable('meter', 3);
  for (const [index, id] of ['a', 'b', 'c', 'd'].entries()) {
    const state = table.state(id);
    state.sequence.observe(0, false, 0, table.totals);
    state.sequence.observe(1 + index, false, 0, table.totals);
    state.clock.observe(-1_000 * index, 0);
  }
  expect(table.size).toBe(3);
  expect(table.forgotten).toBe(1);
  expect(table.totals.missing).toBe(6);
  expect(table.worstSequences(2)).toEqual([
    { device: 'd', missing: 3, repeated: 0, late: 0, restarts: 0, clockSkewMs: 3_000 },
    { device: 'c', missing: 2, repeated: 0, late: 0, restarts: 0, clockSkewMs: 2_000 },
  ]);
  expect(table.worstClocks(1).map(({ device }) => device)).toEqual(['d']);
  expect(table.largestSkewMs()).toBe(3_000);
});
