import { describe, expect, it } from 'vitest';

import type { DrillResult } from '../../../../src/testbed/drill/report/drill-result.ts';
import { htmlReport } from '../../../../src/testbed/drill/report/html-report.ts';
import { textReport } from '../../../../src/testbed/drill/report/text-report.ts';
import { timeChart } from '../../../../src/testbed/drill/report/html-page.ts';

const NONE = { count: 0, examples: [] };
const MB = 2 ** 20;

const RESULT: DrillResult = {
  scenario: 'crash',
  title: 'the gateway is killed',
  expectation: 'Nothing is lost.',
  setting: {
    contract: 'kafka',
    devices: 100,
    rate: 1_000,
    faultMs: 30_000,
    drainTimeoutMs: 90_000,
    usesJournal: false,
    checkpointMs: 1_000,
    journalBytes: undefined,
    paddingBytes: 0,
  },
  startMs: 1_000,
  moments: { steadyMs: 3_000, faultMs: 11_000, healedMs: 41_000, drainedMs: 42_250, endMs: 52_000 },
  events: [
    { atMs: 1_500, text: 'devices publish, and are acknowledged' },
    { atMs: 11_000, text: 'kill -9 of the gateway (1 of 1)' },
  ],
  samples: [
    { atMs: 1_000, sent: 0, acknowledged: 0, connected: 100, inKafka: 0, residentBytes: 100 * MB },
    { atMs: 20_000, sent: 20_000, acknowledged: 19_000, connected: 0, inKafka: undefined, residentBytes: undefined }, // prettier-ignore
    {
      atMs: 41_500,
      sent: 30_000,
      acknowledged: 29_000,
      connected: 100,
      inKafka: 29_100,
      residentBytes: 130 * MB,
    },
    {
      atMs: 51_000,
      sent: 51_200,
      acknowledged: 51_200,
      connected: 100,
      inKafka: 51_240,
      residentBytes: 110 * MB,
    },
  ],
  sent: 51_200,
  acknowledged: 51_200,
  refused: 0,
  lostConnections: 100,
  verdict: {
    records: 51_240,
    lost: NONE,
    invented: NONE,
    repeated: { count: 40, examples: ['a#1'] },
    disordered: NONE,
    scattered: NONE,
  },
  heldBack: 1_234,
  repeats: { resent: 40, replayed: 0, replayBound: 0, unexplained: NONE },
  deadLetters: 0,
  puback: {
    before: { p50Ms: 31.24, p99Ms: 64.5, p999Ms: 80.02, maxMs: 101.3 },
    during: { p50Ms: 1_204, p99Ms: 3_456, p999Ms: 123_456, maxMs: 130_000 },
    after: { p50Ms: undefined, p99Ms: undefined, p999Ms: undefined, maxMs: undefined },
  },
  bins: [
    { atMs: 2_000, p50Ms: 30, p99Ms: 60 },
    { atMs: 42_000, p50Ms: 1_200, p99Ms: 3_400 },
  ],
  binWidthMs: 500,
  gatewayExit: 0,
};

describe('the report of a drill as text', () => {
  it('says what was done, what was found, and the verdict', () => {
    expect(textReport(RESULT)).toBe(`crash: the gateway is killed
  contract kafka; 100 devices, 1,000 messages/s, 51,200 in all; fault of 30.0 s

      0.5 s  devices publish, and are acknowledged
     10.0 s  kill -9 of the gateway (1 of 1)

  Sent            51,200
  Acknowledged    51,200, all of them
  In Kafka        51,240 records
  Lost            0
  Order faults    0
  Duplicates      40 sent again because their connection broke before the PUBACK
  Time to drain   1.3 s
  Held back       1,234 messages in the devices' own memory when the fault ended
  Connections     100 lost
  Memory          at most, before 100 MB, during 130 MB, after 110 MB

  PUBACK after          before      during       after
    p50                31.2 ms       1.2 s           -
    p99                64.5 ms       3.5 s           -
    p99.9              80.0 ms       123 s           -
    max                 101 ms       130 s           -

  PASSED
`);
  });

  it('names every broken promise', () => {
    const text = textReport({
      ...RESULT,
      acknowledged: 51_000,
      moments: { ...RESULT.moments, drainedMs: undefined },
      verdict: { ...RESULT.verdict, lost: { count: 5, examples: ['a#1', 'a#2', 'b#7', 'b#8', 'c#1'] } },
      repeats: { resent: 0, replayed: 0, replayBound: 0, unexplained: { count: 40, examples: ['a#1'] } },
    });
    expect(text).toContain('FAILED: 5 (a#1, a#2, b#7, …) acknowledged to the device and not in Kafka');
    expect(text).toContain(
      'FAILED: 40 (a#1, …) in Kafka more often than any device or journal had to send it',
    );
    expect(text).toContain('FAILED: messages that were never acknowledged: 200');
    expect(text).toContain('Time to drain   never');
    expect(text).not.toContain('PASSED');
  });
});

describe('a drill of a journal that is to fill', () => {
  const setting = { ...RESULT.setting, journalBytes: 1_048_576 };

  it('is not passed where it did not fill', () => {
    expect(textReport({ ...RESULT, setting, heldBack: 0 })).toContain('FAILED: the journal did not fill');
    expect(textReport({ ...RESULT, setting })).toContain('PASSED');
  });

  it('says what the journal has brought twice, and how much it may', () => {
    const repeats = { resent: 0, replayed: 12, replayBound: 1_500, unexplained: NONE };
    expect(textReport({ ...RESULT, repeats })).toContain(
      'Duplicates      12 read again from the journal after a kill (bound: 1,500)',
    );
  });
});

describe('the report of a drill as HTML', () => {
  it('is one page with charts that asks for nothing from anywhere', () => {
    const html = htmlReport({ facts: ['Sluice 1, Kafka broker-1:9092'], results: [RESULT] });
    expect(html.match(/<svg /g)).toHaveLength(3);
    expect(html).toContain('Passed: crash');
    expect(html.match(/<polyline points="\d[^"]+ \d|<circle /g)?.length).toBeGreaterThanOrEqual(6);
    expect(html).not.toMatch(/https?:|<script|<link|<img|@import|url\(/);
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('names the scenarios that failed, and shows what they say as text, whatever is in it', () => {
    const lost = { count: 1, examples: ['<script>alert(1)</script>#1'] };
    const failed = { ...RESULT, verdict: { ...RESULT.verdict, lost } };
    const html = htmlReport({ facts: [], results: [RESULT, failed] });
    expect(html).toContain('Failed: crash');
    expect(html).not.toContain('<script>');
    expect(html).toContain('&lt;script&gt;');
  });

  it('leaves out the memory where the system does not tell it', () => {
    const samples = RESULT.samples.map((sample) => ({ ...sample, residentBytes: undefined }));
    const html = htmlReport({ facts: [], results: [{ ...RESULT, samples }] });
    expect(html.match(/<svg /g)).toHaveLength(2);
    expect(html).not.toContain('Memory');
  });
});

describe('a chart over time', () => {
  const options = {
    title: 't',
    unit: 'u',
    span: [0, 60_000],
    bands: [[10_000, 20_000]],
    eventsMs: [15_000],
  } as const;

  it('draws lines, the shaded stretch and the moments inside of its frame', () => {
    const svg = timeChart(options, [{ label: 'x', points: [[0, 0], [60_000, 7]] }]); // prettier-ignore
    expect(svg).toContain('<polyline points="70.0,200.0 790.0,68.4"/>');
    expect(svg).toContain('<rect class="band" x="190.0" y="12" width="120.0" height="188"/>');
    expect(svg).toContain('<line class="event" x1="250.0" x2="250.0" y1="12" y2="200"/>');
  });

  it('draws no line over a time of which it knows nothing, and a dot for what stands alone', () => {
    const points = [[0, 7], [500, 7], [1_000, 7], [40_000, 7], [60_000, 7]] as const; // prettier-ignore
    const svg = timeChart(options, [{ label: 'x', points, gapMs: 750 }]);
    expect(svg.match(/<polyline points="[^"]*"/g)).toEqual([
      '<polyline points="70.0,68.4 76.0,68.4 82.0,68.4"',
    ]);
    expect(svg.match(/<circle cx="[^"]*"/g)).toEqual(['<circle cx="550.0"', '<circle cx="790.0"']);
  });

  it('lets two lines be seen where one lies on the other', () => {
    const points = [[0, 1], [60_000, 7]] as const; // prettier-ignore
    const svg = timeChart(options, [{ label: 'x', points }, { label: 'y', points, isDashed: true }]); // prettier-ignore
    expect(svg.match(/<g class="series-\d"[^>]*>/g)).toEqual([
      '<g class="series-0">',
      '<g class="series-1" stroke-dasharray="6 5">',
    ]);
  });

  it('with a logarithmic axis has a tick for each power of ten', () => {
    const points = [[0, 3], [30_000, 20_000], [60_000, 0]] as const; // prettier-ignore
    const svg = timeChart({ ...options, logarithmic: true }, [{ label: 'x', points }]);
    const labels = [...svg.matchAll(/class="label"[^>]*>([^<]*)</g)].map(([, label]) => label);
    expect(labels).toEqual(['1', '10', '100', '1,000', '10,000', '100,000']);
  });

  it('can be drawn of nothing at all', () => {
    for (const logarithmic of [true, false]) {
      expect(timeChart({ ...options, logarithmic }, [{ label: 'x', points: [] }])).not.toMatch(
        /NaN|Infinity/,
      );
    }
  });
});
