import { describe, expect, it } from 'vitest';
import { aimsOf } from '../../bench/harness/aims.ts';
import { CONTESTANTS, titleOf } from '../../bench/harness/contestants.ts';
import type { Contestant } from '../../bench/harness/contestants.ts';
import { RECORD } from '../../bench/harness/plan.ts';
import { filled, sectionsOf } from '../../bench/harness/record-docs.ts';
import { markdownRecord, withComparison, withStudy } from '../../bench/harness/record.ts';
import type { BenchRecord, ComparisonRecord, StudyRecord } from '../../bench/harness/record.ts';
import { contestantsOf, growthStudies } from '../../bench/harness/study.ts';
import type { Study } from '../../bench/harness/study.ts';
import { markdownStudy, plainStudy } from '../../bench/harness/study-report.ts';
import { summarise } from '../../bench/harness/summary.ts';
import { chosenWorkloads, WORKLOADS } from '../../bench/harness/workloads.ts';
import { runResult } from './run-result.ts';

const machine = {
  cpu: 'a processor',
  cores: 2,
  memoryGiB: 24,
  node: '24.0.0',
  revision: 'abc',
  startedAt: '2026-01-01T00:00:00.000Z',
  loadBefore: 0.5,
};
const NOTHING: BenchRecord = { comparisons: [], studies: [] };
const ours = CONTESTANTS[0]!;
const go = CONTESTANTS.find(({ name }) => name.startsWith('go'))!;

/** A comparison in which every contestant has this cost. */
function comparison(name: string, costs: readonly (readonly [Contestant, number])[]): ComparisonRecord {
  const [workload] = chosenWorkloads([name], {});
  const results = costs.map(([contestant, cost]) =>
    runResult(contestant, cost, {
      perSecond: 1_200_000,
      latency: { count: 1_000, p50Ms: 1, p99Ms: 160, p999Ms: 200, maxMs: 300 },
      sentPerSecond: 20_000,
    }),
  );
  const contestants = costs.map(([contestant]) => contestant);
  return {
    machine,
    rounds: 1,
    workload: workload!,
    rows: summarise(contestants, results),
    skipped: [],
    results,
  };
}

function growth(
  name: string,
  points: readonly (readonly [cpu: number, recordsPerBatch: number])[],
): StudyRecord {
  const whole = growthStudies(1).find((each) => each.name === name) as Study;
  const study = { ...whole, points: whole.points.slice(0, points.length) };
  const measured = points.map(([cpuMicrosPerMessage, recordsPerBatch], i) => ({
    ...study.points[i]!,
    cpuMicrosPerMessage,
    recordsPerBatch,
    p50Ms: 1,
    p99Ms: 2,
    sentPerSecond: study.points[i]!.workload.rate,
    requestsPerSecond: 40,
    compressionRatio: 3,
    kafkaBytesPerMessage: 60,
    peakMemoryBytes: 2 ** 27,
  }));
  return { machine, rounds: 1, study, measured };
}

function aim(record: BenchRecord, words: string) {
  return aimsOf(record).find((each) => each.aim.includes(words));
}

describe('what was aimed at', () => {
  it('is reached or not by the figures of one and the same run', () => {
    const record = withComparison(NOTHING, comparison('saturation', [[ours, 2], [go, 5]])); // prettier-ignore
    expect(aim(record, 'raw: CPU beside Go')).toMatchObject({ measured: 0.4, isReached: false });
    const faster = withComparison(NOTHING, comparison('saturation', [[ours, 1], [go, 5]])); // prettier-ignore
    expect(aim(faster, 'raw: CPU beside Go')).toMatchObject({ measured: 0.2, isReached: true });
  });

  it('is neither reached nor missed while nobody measured it', () => {
    for (const { isReached } of aimsOf(NOTHING)) expect(isReached).toBeUndefined();
  });

  it('over a link leaves a PUBACK its round trip, the linger and 30 ms', () => {
    const record = withComparison(NOTHING, comparison('edge-link', [[ours, 20]]));
    expect(aim(record, 'edge-link')).toMatchObject({ limit: 155, measured: 160, isReached: false });
  });

  it('of growth looks at partitions only as long as a batch holds 100 records', () => {
    const record = withStudy(NOTHING, growth('partitions', [[10, 500], [12, 150], [30, 40]])); // prettier-ignore
    expect(aim(record, 'partitions')).toMatchObject({ measured: 1.2, isReached: true });
    const single = withStudy(NOTHING, growth('partitions', [[10, 500], [30, 40]])); // prettier-ignore
    expect(aim(single, 'partitions')?.measured).toBeUndefined();
    const devices = withStudy(NOTHING, growth('devices', [[10, 500], [30, 40]])); // prettier-ignore
    expect(aim(devices, 'devices')).toMatchObject({ measured: 3, isReached: false });
  });
});

describe('a record', () => {
  it('keeps one figure for each part: a part that is measured again takes its place', () => {
    const first = withComparison(NOTHING, comparison('saturation', [[ours, 2]]));
    const both = withComparison(first, comparison('fleet', [[ours, 20]]));
    const again = withComparison(both, comparison('saturation', [[ours, 3]]));
    expect(again.comparisons.map(({ rows }) => rows[0]!.cpuMicrosPerMessage)).toEqual([3, 20]);
  });

  it('reads back from JSON as it was written', () => {
    const record = withStudy(
      withComparison(NOTHING, comparison('fleet', [[ours, 20], [go, 25]])), // prettier-ignore
      growth('routes', [[10, 500]]),
    );
    const read = JSON.parse(JSON.stringify(record)) as BenchRecord;
    expect(markdownRecord(read)).toBe(markdownRecord(record));
  });

  it('plans every workload, with contestants that there are', () => {
    expect(RECORD.map(({ workload }) => workload).toSorted()).toEqual(
      WORKLOADS.map(({ name }) => name).toSorted(),
    );
    const titles = CONTESTANTS.map(titleOf);
    for (const text of RECORD.flatMap(({ only }) => only ?? [])) {
      expect(titles.some((title) => title.includes(text))).toBe(true);
    }
  });

  it('of growth has beside our devices what grows with them anyway: sockets alone, and a good bridge', () => {
    const studied = contestantsOf(growthStudies(1), CONTESTANTS);
    expect(studied.map(titleOf)).toEqual([
      'sluice, raw, PUBACK after Kafka',
      'go: mochi-mqtt + franz-go, raw, PUBACK after Kafka',
      'node, sockets alone, nothing, PUBACK on receipt',
      'node, answers after linger.ms, nothing, PUBACK on receipt',
    ]);
  });
});

describe('a study', () => {
  it('says at how many of its points the machine was too busy', () => {
    const study = growth('devices', [[10, 500], [11, 400]]); // prettier-ignore
    const [first, ...others] = study.measured;
    const slow = { ...study, measured: [{ ...first!, sentPerSecond: 9_000 }, ...others] };
    expect(plainStudy(study)).not.toContain('too busy');
    expect(plainStudy(slow)).toContain('At 1 of 2 points the generator could not hold its pace');
    expect(markdownStudy(slow).join()).toContain('At 1 of 2 points');
  });

  it('says how many of its points are missing', () => {
    const study = growth('devices', [[10, 500], [11, 400]]); // prettier-ignore
    const broken = { ...study, measured: study.measured.slice(1) };
    expect(plainStudy(broken)).toContain('1 of 2 points could not be measured');
  });

  it('says beside our growth how much that of the floor is, which counts for no aim of ours', () => {
    const study = growth('devices', [[10, 500], [11, 400]]); // prettier-ignore
    const floor = [5, 8].map((cpuMicrosPerMessage, i) => ({
      ...study.measured[i]!,
      ...{ requestsPerSecond: undefined, recordsPerBatch: undefined, compressionRatio: undefined },
      ...{ cpuMicrosPerMessage, kafkaBytesPerMessage: 0, series: 'floor', beside: 'floor' },
    }));
    const both = { ...study, measured: [...study.measured, ...floor] };
    const read = JSON.parse(JSON.stringify(both)) as StudyRecord;
    const words = 'CPU a message, dearest to cheapest point: sluice 1.10x; floor 1.60x.';
    expect(plainStudy(read)).toContain(words);
    expect(markdownStudy(read).join()).toContain(words);
    expect(markdownStudy(read)[2]).not.toContain('NaN');
    expect(aim(withStudy(NOTHING, read), 'devices')?.measured).toBe(1.1);
    expect(plainStudy(study)).not.toContain('dearest');
  });
});

describe('docs/performance.md', () => {
  const record = withStudy(
    withComparison(NOTHING, comparison('fleet', [[ours, 20], [go, 25]])), // prettier-ignore
    growth('devices', [[10, 500], [11, 400]]), // prettier-ignore
  );
  const { sections, charts } = sectionsOf(record);

  it('gets each table between its own marks, and keeps what the record has not', () => {
    const page = 'a\n<!-- bench:fleet -->old<!-- /bench -->\nb\n<!-- bench:burst -->kept<!-- /bench -->\n';
    const text = filled(page, sections);
    expect(text).toContain('| go: mochi-mqtt + franz-go | after Kafka | raw |');
    expect(text).not.toContain('old');
    expect(text).toContain('<!-- bench:burst -->kept<!-- /bench -->');
    expect(filled(text, sections)).toBe(text);
  });

  it('refers to charts that are drawings of their own', () => {
    expect(charts.map(({ file }) => file)).toEqual(['performance/fleet.svg', 'performance/devices-cpu.svg']);
    for (const { file, svg } of charts) {
      expect([...sections.values()].join('\n')).toContain(`(${file})`);
      expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^]*<style>[^]*<\/svg>\n$/);
      expect(svg).not.toMatch(/src=|href=|@import|url\(/);
    }
  });
});
