import { describe, expect, it } from 'vitest';
import { FlowRates, journalMetrics } from '../../src/journal/figures.ts';
import { openRig } from './rig.ts';

/** Ten minutes of a steady flow, a second a sample. */
function steady(inPerSecond: number, outPerSecond: number, bytesPerSecond: number): FlowRates {
  const rates = new FlowRates();
  for (let second = 0; second <= 600; second++) {
    rates.sample({
      atMs: second * 1_000,
      inRecords: second * inPerSecond,
      outRecords: second * outPerSecond,
      usedBytes: 1e9 + second * bytesPerSecond,
    });
  }
  return rates;
}

describe('the time that is left', () => {
  it('until the journal is full follows from its growth, and is not given while it does not grow', () => {
    expect(steady(1_000, 0, 100_000).secondsToFull(6e6)).toBeCloseTo(60, 3);
    expect(steady(0, 1_000, -100_000).secondsToFull(6e6)).toBeUndefined();
  });

  it('until it is drained follows from what leaves it beyond what comes, and is not given while it only grows', () => {
    expect(steady(1_000, 5_000, -100_000).secondsToDrain(240_000)).toBeCloseTo(60, 3);
    expect(steady(5_000, 1_000, 100_000).secondsToDrain(240_000)).toBeUndefined();
    expect(steady(5_000, 1_000, 100_000).secondsToDrain(0)).toBe(0);
  });

  it('is shown by metrics: nothing open needs no time, and NaN stands for no end in sight', async () => {
    const rig = await openRig();
    const values = new Map(journalMetrics(rig.journal).map((metric) => [metric.name, metric.read()]));
    expect(values.get('sluice_journal_seconds_to_drain')).toBe(0);
    expect(values.get('sluice_journal_seconds_to_full')).toBeNaN();
    await rig.journal.close();
  });
});
