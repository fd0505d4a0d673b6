import { describe, expect, it } from 'vitest';
import { barChart, lineChart } from '../../bench/harness/charts.ts';
import { CONTESTANTS } from '../../bench/harness/contestants.ts';
import type { Contestant } from '../../bench/harness/contestants.ts';
import { htmlReport, markdownReport, plainReport } from '../../bench/harness/report.ts';
import type { Report } from '../../bench/harness/report.ts';
import type { RunResult } from '../../bench/harness/run.ts';
import { summarise } from '../../bench/harness/summary.ts';
import { chosenWorkloads, WORKLOADS } from '../../bench/harness/workloads.ts';
import type { Workload } from '../../bench/harness/workloads.ts';
import { runResult } from './run-result.ts';

const [ours, normalised] = CONTESTANTS as [Contestant, Contestant];
const theirs = CONTESTANTS.find(({ name }) => name.startsWith('go'))!;
const [saturation] = WORKLOADS as [Workload];

function reportOf(results: readonly RunResult[], workload = saturation): Report {
  return {
    machine: {
      cpu: 'a processor',
      cores: 2,
      memoryGiB: 24,
      node: '24.0.0',
      revision: 'abc',
      startedAt: '2026-01-01T00:00:00.000Z',
      loadBefore: 0.5,
    },
    rounds: 2,
    workloads: [
      {
        workload,
        rows: summarise([ours, theirs], results),
        skipped: [{ title: 'java <raw>', reason: 'no mvn on this machine' }],
        results,
      },
    ],
  };
}

describe('summarise', () => {
  it('compares medians with the first contestant, and adds up what was lost or repeated', () => {
    const rows = summarise(
      [ours, theirs, normalised],
      [
        runResult(ours, 1),
        runResult(theirs, 6),
        runResult(ours, 3, { inKafka: 1_990 }),
        runResult(theirs, 4, { inKafka: 2_007 }),
        runResult(ours, 2),
      ],
    );
    expect(rows).toMatchObject([
      { name: 'sluice', cpuMicrosPerMessage: 2, cpuMicrosRange: [1, 3], ratio: 1, lost: 10, repeated: 0 },
      { name: theirs.name, cpuMicrosPerMessage: 5, ratio: 2.5, lost: 0, repeated: 7 },
    ]);
  });
});

describe('a report', () => {
  const results = [runResult(ours, 2), runResult(theirs, 5)];

  it('says who did not take part, and why', () => {
    const report = reportOf(results);
    for (const text of [markdownReport(report), plainReport(report.workloads[0]!)]) {
      expect(text).toContain('no mvn on this machine');
    }
    expect(htmlReport(report)).toContain('Without java &lt;raw&gt;: no mvn on this machine');
  });

  it('shows the ratio, when it acknowledges, and how busy the machine was', () => {
    const text = markdownReport(reportOf(results));
    expect(text).toContain('| go: mochi-mqtt + franz-go | after Kafka | raw | 100,000 | 5.00 | 2.50x |');
    expect(text).toContain('load average of 0.5');
  });

  it('warns when the generator could not keep its pace', () => {
    const fleet = WORKLOADS.find(({ name }) => name === 'fleet')!;
    const slow = [runResult(ours, 20, { sentPerSecond: 15_000 })];
    expect(plainReport(reportOf(slow, fleet).workloads[0]!)).toContain('held only 15000 of 20000 messages/s');
  });

  it('is a page that needs nothing from elsewhere', () => {
    const html = htmlReport(reportOf(results));
    expect(html).not.toMatch(/src=|href=|@import|url\(/);
    expect(html.match(/<svg/g)?.length).toBe(4);
  });
});

describe('charts', () => {
  it('draw a bar in proportion to its value', () => {
    const svg = barChart('CPU', 'us', [
      { label: 'ours', value: 2, isOurs: true },
      { label: 'a & b', value: 4, isOurs: false },
    ]);
    const widths = [...svg.matchAll(/<rect class="(?:ours|other)"[^>]* width="([\d.]+)"/g)].map((match) =>
      Number(match[1]),
    );
    expect(widths[1]! / widths[0]!).toBeCloseTo(2, 2);
    expect(svg).toContain('a &amp; b');
  });

  it('draw a line through all points of a series, within the plot', () => {
    const svg = lineChart({ title: 't', xLabel: 'linger.ms', yLabel: 'us', logarithmicX: true }, [
      { label: 'a', points: [[0, 10], [10, 5], [100, 2.5]] }, // prettier-ignore
      { label: 'b', points: [[0, 1]] }, // prettier-ignore
    ]);
    const path = /<polyline points="([^"]*)"/.exec(svg)?.[1]?.split(' ') ?? [];
    expect(path).toHaveLength(3);
    for (const point of path) {
      const [x, y] = point.split(',').map(Number) as [number, number];
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x).toBeLessThanOrEqual(760);
      expect(y).toBeGreaterThanOrEqual(0);
      expect(y).toBeLessThanOrEqual(300);
    }
  });
});

describe('chosenWorkloads', () => {
  it('are all, unless some are named', () => {
    expect(chosenWorkloads(undefined, {})).toEqual(WORKLOADS);
    expect(chosenWorkloads(['fleet'], { devices: 5 })).toMatchObject([{ name: 'fleet', devices: 5 }]);
    expect(() => chosenWorkloads(['flet'], {})).toThrow(/no workload flet; there are saturation, /);
  });

  it('can be a part of themselves', () => {
    expect(chosenWorkloads(['saturation'], {}, 0.5)).toMatchObject([
      { length: { seconds: 3 }, warmupSeconds: 3 },
    ]);
  });
});
