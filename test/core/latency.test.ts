import { describe, expect, it } from 'vitest';
import { Latency } from '../../src/core/latency.ts';

describe('Latency', () => {
  it('has no percentiles before the first acknowledgement', () => {
    const none = { p50Ms: undefined, p99Ms: undefined, p999Ms: undefined, maxMs: undefined };
    expect(new Latency().overall()).toEqual(none);
    expect(new Latency().recent(1e6)).toEqual(none);
  });

  it('keeps percentiles to three digits', () => {
    const latency = new Latency();
    for (let ms = 1; ms <= 1000; ms++) latency.record(ms, 0);
    const { p50Ms, p99Ms, maxMs } = latency.overall();
    expect(p50Ms).toBeGreaterThan(498);
    expect(p50Ms).toBeLessThan(502);
    expect(p99Ms).toBeGreaterThan(988);
    expect(p99Ms).toBeLessThan(992);
    expect(maxMs).toBeGreaterThan(999);
  });

  it('forgets in its recent view what is more than ten seconds old', () => {
    const latency = new Latency();
    latency.record(500, 0);
    latency.record(10, 6_000);
    expect(latency.recent(7_000).maxMs).toBeGreaterThan(499);
    expect(latency.recent(11_500).maxMs).toBeLessThan(11);
    expect(latency.recent(60_000).maxMs).toBeUndefined();
    expect(latency.overall().maxMs).toBeGreaterThan(499);
  });
});
