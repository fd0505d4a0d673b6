import { describe, expect, test } from 'vitest';
import type { MetricSpec } from '../../../src/core/profile/normaliser-spec.ts';
import { bench, NOW, profileFaults } from '../routes.ts';

const metric = (spec: Partial<MetricSpec>) => ({ metrics: new Map([['m', { field: 'v', ...spec }]]) });

describe('a metric is made of its field', () => {
  test.each<[Partial<MetricSpec>, unknown, unknown]>([
    [{ scale: 0.1, offset: -40 }, 615, 21.5],
    [{ from: 'kPa', unit: 'hPa' }, 101.5, 1015],
    [{ scale: 0.1, from: 'mV', unit: 'V' }, 36_000, 3.6],
    [{ offset: 10, from: 'K', unit: 'Cel' }, 263.15, 0],
    [{ type: 'integer' }, 2.5, 3],
    [{ type: 'integer' }, '42', 42],
    [{ type: 'double' }, ' 21.5 ', 21.5],
    [{ type: 'boolean' }, 'ON', true],
    [{ type: 'boolean' }, 0, false],
    [{ type: 'text' }, 7, '7'],
    [{ type: 'text' }, true, 'true'],
    [{ type: 'text', scale: 2 }, 7, '14'],
    [{ bit: 0 }, 5, true],
    [{ bit: 1 }, 5, false],
    [{ bit: 40 }, 2 ** 40, true],
    [{ bit: 63 }, -1, true],
    [
      {
        enum: new Map([
          [0, 'OFF'],
          [-1, 'FAULT'],
        ]),
      },
      -1,
      'FAULT',
    ],
    [{ enum: new Map([[0, 'OFF']]) }, 9, '9'],
    [{ enum: new Map([[1, 'ON']]) }, '1', 'ON'],
    [{ scale: 2 }, null, undefined],
  ])('%j of %j is %j', (spec, value, expected) => {
    expect(bench(metric(spec)).values({ v: value })).toEqual(expected === undefined ? {} : { m: expected });
  });

  test.each<[Partial<MetricSpec>, unknown]>([
    [{ scale: 2 }, 'warm'],
    [{ type: 'boolean' }, 'perhaps'],
    [{ bit: 3 }, 1.5],
    [{ enum: new Map([[0, 'OFF']]) }, 'OFF'],
    [{ type: 'integer' }, 1e30],
  ])('%j of %j can not be: the message becomes a dead letter', (spec, value) => {
    expect(bench(metric(spec)).send({ v: value })).toBe('FIELD_TYPE');
  });

  test('several metrics of one field, each its own', () => {
    const status = new Map<string, MetricSpec>([
      ['raw', { field: 's' }],
      ['door', { field: 's', bit: 0 }],
      ['alarm', { field: 's', bit: 3 }],
    ]);
    expect(bench({ metrics: status }).values({ s: 8 })).toEqual({ raw: 8, door: false, alarm: true });
  });
});

describe('checks', () => {
  const range = (policy: 'reject' | 'mark' | 'drop') =>
    metric({ range: { min: -40, max: 85, else: policy } });

  test('let what is within pass, bounds included', () => {
    const telemetry = bench(range('reject')).send({ v: 85 });
    expect(telemetry).toMatchObject({ metrics: [{ name: 'm', value: 85 }] });
  });

  test('of a range reject the message, mark the value, or drop the value', () => {
    const rejecting = bench(range('reject'));
    expect(rejecting.send({ v: 900 })).toBe('OUT_OF_RANGE');
    expect(rejecting.lastFault?.message).toBe('metric m is 900, which is not from -40 to 85');
    expect(bench(range('mark')).send({ v: 900 })).toMatchObject({
      metrics: [{ name: 'm', value: 900, quality: 'out-of-range' }],
    });
    expect(bench(range('drop')).values({ v: 900 })).toEqual({});
  });

  test('of presence reject, mark or filter the message', () => {
    expect(bench(metric({ required: 'reject' })).send({})).toBe('METRIC_MISSING');
    expect(bench(metric({ required: 'mark' })).send({})).toMatchObject({ metrics: [], missing: ['m'] });
    expect(bench(metric({ required: 'drop' })).send({})).toBe('FILTERED');
    expect(bench(metric({ required: 'reject' })).values({ v: 'text' })).toEqual({ m: 'text' });
  });

  test('do not spoil the next message', () => {
    const target = bench(range('mark'));
    target.send({ v: 900 });
    expect(target.send({ v: 20 })).toMatchObject({ metrics: [{ value: 20 }] });
    expect(target.send({ v: 20 })).not.toHaveProperty('metrics.0.quality');
  });
});

describe('filters', () => {
  const at = (seconds: number) => ({ receivedAtMs: NOW + seconds * 1_000 });

  test('hold back what has not changed by more than the deadband since the last that passed', () => {
    const target = bench(metric({ deadband: { by: 0.5, relative: false } }));
    const passed = [20, 20.4, 20.5, 20.6, 20.9, 20].map((v) => target.send({ v }) !== 'FILTERED');
    expect(passed).toEqual([true, false, false, true, false, true]);
  });

  test('know a deadband as a share of the value', () => {
    const target = bench(metric({ deadband: { by: 0.1, relative: true } }));
    expect([100, 109, 111, 100].map((v) => target.send({ v }) !== 'FILTERED')).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test('let a value pass that appears, or is gone', () => {
    const target = bench(metric({ deadband: { by: 1, relative: false } }));
    expect([1, null, null, 1].map((v) => target.send({ v }) !== 'FILTERED')).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });

  test('let one pass after a long silence', () => {
    const target = bench({
      ...metric({ deadband: { by: 1, relative: false } }),
      filter: { minIntervalMs: 0, maxSilenceMs: 60_000 },
    });
    expect([0, 30, 59, 60, 90].map((s) => target.send({ v: 1 }, at(s)) !== 'FILTERED')).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test('let at most one message pass in an interval', () => {
    const target = bench({ ...metric({}), filter: { minIntervalMs: 10_000, maxSilenceMs: undefined } });
    expect([0, 9, 10, 11, 25].map((s) => target.send({ v: s }, at(s)) !== 'FILTERED')).toEqual([
      true,
      false,
      true,
      false,
      true,
    ]);
  });

  test('never hold back a message that may be sent again: its first sending may not have arrived', () => {
    const target = bench(metric({ deadband: { by: 1, relative: false } }));
    target.send({ v: 1 });
    expect(target.send({ v: 1 }, { dup: true })).not.toBe('FILTERED');
  });

  test('remember a message only when it has been taken on', () => {
    const target = bench(metric({ deadband: { by: 1, relative: false } }));
    const publication = {
      topic: { name: 'fleet/oslo/d-1', id: 0 },
      payload: Buffer.from('{"v":1}'),
      qos: 1 as const,
      retain: false,
      dup: false,
      packetId: 1,
      clientId: 'c',
      receivedAtMs: NOW,
    };
    // No room twice, so the same message is offered three times.
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(target.route.toRecord(publication, target.record)).toBeUndefined();
    }
    target.route.taken();
    expect(target.send({ v: 1 })).toBe('FILTERED');
  });
});

describe('the clock policy', () => {
  const timed = (outside?: 'receipt' | 'correct' | 'dead-letter') => ({
    time: {
      field: 't',
      unit: 'ms' as const,
      window: { behindMs: 60_000, aheadMs: 10_000 },
      ...(outside && { outside }),
    },
  });

  test('takes event time within the window as the timestamp', () => {
    const target = bench(timed());
    target.send({ t: NOW - 60_000 });
    expect(target.record.timestampMs).toBe(NOW - 60_000);
    expect(target.headers()).not.toHaveProperty('sluice.timestamp');
  });

  test('takes receipt in place of a time outside, and says so', () => {
    const target = bench(timed());
    expect(target.send({ t: NOW + 10_001 })).toMatchObject({ observedAtMs: NOW + 10_001 });
    expect(target.record.timestampMs).toBe(NOW);
    expect(target.headers()).toMatchObject({ 'sluice.timestamp': 'receipt' });
  });

  test('dead-letters a time outside where the profile wants that, but not a message without a time', () => {
    const target = bench(timed('dead-letter'));
    expect(target.send({ t: NOW - 61_000 })).toBe('EVENT_TIME_OUTSIDE');
    expect(target.lastFault?.message).toContain('61 s before receipt');
    expect(target.send({})).toBeTypeOf('object');
  });

  test('corrects a clock by what it is off, so that stored messages keep their distances', () => {
    const target = bench(timed('correct'));
    // A clock that has begun at 1970: one fresh message, then two that the device has stored.
    target.send({ t: 100_000 });
    expect(target.record.timestampMs).toBe(NOW);
    target.send({ t: 70_000 }, { receivedAtMs: NOW + 50 });
    expect(target.record.timestampMs).toBe(NOW - 30_000);
    target.send({ t: 80_000 }, { receivedAtMs: NOW + 60 });
    expect(target.record.timestampMs).toBe(NOW - 20_000);
    expect(target.headers()).toMatchObject({ 'sluice.timestamp': 'corrected' });
  });

  test('takes a clock that is set back as it is now', () => {
    const target = bench(timed('correct'));
    target.send({ t: NOW - 20 });
    target.send({ t: 5_000 }, { receivedAtMs: NOW + 1_000 });
    expect(target.record.timestampMs).toBe(NOW + 1_000);
    target.send({ t: 6_000 }, { receivedAtMs: NOW + 9_000 });
    expect(target.record.timestampMs).toBe(NOW + 2_000);
  });

  test('shows how far clocks are off', () => {
    const target = bench(timed());
    target.send({ t: NOW + 90_000 });
    expect(target.compiled.devices.worstClocks(1)).toMatchObject([{ device: 'd-1', clockSkewMs: 90_000 }]);
  });

  test('reads a time from text', () => {
    const target = bench({ time: { field: 't', format: 'iso8601' } });
    expect(target.send({ t: '2026-01-01T00:00:00.5Z' })).toMatchObject({ observedAtMs: NOW + 500 });
    expect(target.send({ t: 'noon' })).toBe('FIELD_TYPE');
    expect(target.send({ t: '' })).toMatchObject({ observedAtMs: undefined });
  });
});

describe('sequences', () => {
  test('are followed for each device, also through messages that are dead-lettered or filtered', () => {
    const target = bench({
      sequence: { field: 'n', modulo: 256 },
      ...metric({ range: { max: 10, else: 'reject' } }),
    });
    target.send({ n: 254, v: 1 });
    expect(target.send({ n: 255, v: 99 })).toBe('OUT_OF_RANGE');
    target.send({ n: 1, v: 1 });
    target.send({ n: 1, v: 1 });
    expect(target.compiled.devices.totals).toEqual({ missing: 1, repeated: 1, late: 0, restarts: 0 });
    expect(target.compiled.devices.worstSequences(5)).toMatchObject([
      { device: 'd-1', missing: 1, repeated: 1 },
    ]);
  });

  test('are not disturbed by messages that can not be read', () => {
    const target = bench({ sequence: { field: 'n' } });
    target.send({ n: 1 });
    expect(target.send({ n: 'x' })).toBe('FIELD_TYPE');
    target.send({ n: 2 });
    expect(target.compiled.devices.totals.missing).toBe(0);
  });
});

describe('a profile that makes no sense', () => {
  test.each<[Parameters<typeof profileFaults>[0], string]>([
    [
      metric({ from: 'V', unit: 'A' }),
      'metrics.m.from: found "V", expected a unit that measures the same as A',
    ],
    [metric({ from: 'V' }), 'metrics.m.from: found "V", expected `unit` beside it, the unit to convert to'],
    [metric({ bit: 1, scale: 2 }), 'metrics.m.scale: found it, expected nothing here beside `bit`'],
    [
      metric({ range: { min: 2, max: 1, else: 'mark' } }),
      'metrics.m.range.min: found 2, expected at most max (1)',
    ],
    [
      { filter: { minIntervalMs: 0, maxSilenceMs: 5 } },
      'filter: found nothing that is held back, expected min.interval.ms, or a metric with a deadband',
    ],
    [
      { time: { field: 't', format: 'HH:mm' } },
      'time.format: found "HH:mm", expected a pattern with yyyy, MM, dd in it, or iso8601',
    ],
  ])('says what: %#', (profile, fault) => {
    expect(profileFaults(profile)).toEqual([fault]);
  });
});
