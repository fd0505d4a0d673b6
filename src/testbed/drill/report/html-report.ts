import { faultsOf, type DrillResult } from './drill-result.ts';
import { escapeHtml, page, timeChart, type TimeChartOptions } from './html-page.ts';
import { findings, pubackRows, settingText } from './text-report.ts';

export interface DrillReport {
  /** When, where and with what, a line each. */
  readonly facts: readonly string[];
  readonly results: readonly DrillResult[];
}

/** All drills as one page that needs nothing from anywhere else. */
export function htmlReport({ facts, results }: DrillReport): string {
  const failed = results.filter((result) => faultsOf(result).length > 0);
  const verdict =
    failed.length === 0
      ? `<p class="passed">Passed: ${results.map(({ scenario }) => scenario).join(', ')}</p>`
      : `<p class="failed">Failed: ${failed.map(({ scenario }) => scenario).join(', ')}</p>`;
  return page(
    'Sluice drill',
    [
      ...facts.map((fact) => `<p class="faint">${escapeHtml(fact)}</p>`),
      verdict,
      ...results.flatMap(sectionOf),
    ].join('\n'),
  );
}

function sectionOf(result: DrillResult): string[] {
  const faults = faultsOf(result);
  const events = result.events.map(
    ({ atMs, text }) =>
      `<tr><td class="number">${((atMs - result.startMs) / 1000).toFixed(1)} s</td><td>${escapeHtml(text)}</td></tr>`,
  );
  const [head = [], ...rows] = pubackRows(result);
  return [
    `<h2>${escapeHtml(`${result.scenario}: ${result.title}`)}</h2>`,
    ...(faults.length === 0
      ? ['<p class="passed">Passed</p>']
      : faults.map((fault) => `<p class="failed">Failed: ${escapeHtml(fault)}</p>`)),
    `<p>${escapeHtml(result.expectation)}</p>`,
    `<p class="faint">${escapeHtml(settingText(result))}</p>`,
    table(
      findings(result).map(
        ([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
      ),
    ),
    `<h3>PUBLISH to PUBACK</h3>`,
    table([rowOf('th', head), ...rows.map((row) => rowOf('td', row))]),
    ...charts(result),
    '<h3>What happened</h3>',
    table(events),
  ];
}

/** One that scrolls by itself where a screen is narrow. */
function table(rows: readonly string[]): string {
  return `<div class="wide"><table>${rows.join('')}</table></div>`;
}

function rowOf(tag: 'th' | 'td', cells: readonly string[]): string {
  const inner = cells.map(
    (cell, i) => `<${tag}${i === 0 ? '' : ' class="number"'}>${escapeHtml(cell)}</${tag}>`,
  );
  return `<tr>${inner.join('')}</tr>`;
}

function charts({ samples, bins, binWidthMs, moments, events, startMs }: DrillResult): string[] {
  const lastMs = Math.max(moments.endMs, samples.at(-1)?.atMs ?? startMs);
  const common: Pick<TimeChartOptions, 'span' | 'bands' | 'eventsMs'> = {
    span: [startMs, lastMs],
    bands: [[moments.faultMs, moments.healedMs]],
    eventsMs: [
      ...events.map(({ atMs }) => atMs),
      ...(moments.drainedMs === undefined ? [] : [moments.drainedMs]),
    ],
  };
  const resident = samples.flatMap(({ atMs, residentBytes }) =>
    residentBytes === undefined ? [] : [[atMs, residentBytes / 2 ** 20] as const],
  );
  const inKafka = samples.flatMap(({ atMs, inKafka: records }) =>
    records === undefined ? [] : [[atMs, records] as const],
  );
  // A stretch in which nobody was acknowledged has no time to PUBACK.
  const gapMs = 1.5 * binWidthMs;
  return [
    '<p class="faint">Shaded: the fault. Dashed: what happened, listed below.</p>',
    timeChart({ ...common, title: 'Messages', unit: 'in all' }, [
      { label: 'sent', points: samples.map(({ atMs, sent }) => [atMs, sent]) },
      { label: 'acknowledged', points: samples.map(({ atMs, acknowledged }) => [atMs, acknowledged]) },
      { label: 'in Kafka', points: inKafka, isDashed: true },
    ]),
    timeChart(
      { ...common, title: 'PUBLISH to PUBACK, by the time of the PUBACK', unit: 'ms', logarithmic: true },
      [
        { label: 'p50', points: bins.map(({ atMs, p50Ms }) => [atMs, p50Ms]), gapMs },
        { label: 'p99', points: bins.map(({ atMs, p99Ms }) => [atMs, p99Ms]), gapMs },
      ],
    ),
    ...(resident.length === 0
      ? []
      : [
          timeChart({ ...common, title: 'Resident memory of the gateway', unit: 'MB' }, [
            { label: 'resident', points: resident },
          ]),
        ]),
  ];
}
