import { escapeHtml, page } from '../../src/testbed/drill/report/html-page.ts';
import { lineChart } from './charts.ts';
import { describeMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { growthOf } from './study.ts';
import type { Measured, Study, StudyReport } from './study.ts';
import { htmlTable, markdownTable, plainText } from './table.ts';
import type { TextTable } from './table.ts';
import { describeWorkload } from './workloads.ts';

function tableOfStudy({ study, measured: points }: StudyReport): TextTable {
  return {
    head: [
      'load',
      study.xLabel,
      'CPU us/msg',
      'p50 ms',
      'p99 ms',
      'requests/s',
      'records/batch',
      'compression',
      'Kafka B/msg',
      'peak MB',
    ],
    rows: points.map((point) => [
      point.series,
      point.x.toLocaleString('en-US'),
      point.cpuMicrosPerMessage.toFixed(2),
      point.p50Ms.toFixed(1),
      point.p99Ms.toFixed(1),
      point.requestsPerSecond?.toFixed(0) ?? '',
      point.recordsPerBatch?.toFixed(0) ?? '',
      point.compressionRatio?.toFixed(2) ?? '',
      point.kafkaBytesPerMessage === 0 ? '' : point.kafkaBytesPerMessage.toFixed(1),
      (point.peakMemoryBytes / 2 ** 20).toFixed(0),
    ]),
    wordColumns: 1,
  };
}

export function plainStudy(report: StudyReport): string {
  const notes = notesOf(report).map((note) => `  ${note}\n`);
  return `\n${report.study.name}: ${report.study.about}\n\n${plainText(tableOfStudy(report))}\n${notes.join('')}`;
}

export function markdownStudies(machine: Machine, reports: readonly StudyReport[]): string {
  const parts = ['# What follows what', `${describeMachine(machine)}.`];
  for (const report of reports) parts.push(`## ${report.study.name}`, ...markdownStudy(report));
  return `${parts.join('\n\n')}\n`;
}

/** What was changed and the table; paragraphs. */
export function markdownStudy(report: StudyReport): string[] {
  return [
    [report.study.about, ...notesOf(report)].join(' '),
    basisOf(report.study),
    markdownTable(tableOfStudy(report)),
  ];
}

/** A chart of a study: what stands upright, and a short name of it. */
export interface StudyChart {
  readonly name: string;
  readonly yLabel: string;
  readonly value: (point: Measured) => number | undefined;
}

export const STUDY_CHARTS: readonly StudyChart[] = [
  { name: 'cpu', yLabel: 'CPU microseconds a message', value: (point) => point.cpuMicrosPerMessage },
  { name: 'p99', yLabel: 'PUBLISH to PUBACK, p99 ms', value: (point) => point.p99Ms },
  { name: 'requests', yLabel: 'requests a second', value: (point) => point.requestsPerSecond },
  { name: 'compression', yLabel: 'compression ratio', value: (point) => point.compressionRatio },
  { name: 'records', yLabel: 'records a batch', value: (point) => point.recordsPerBatch },
];

/** A figure of HTML. */
export function studyChart(report: StudyReport, { yLabel, value }: StudyChart): string {
  const { name: title, xLabel, logarithmicX } = report.study;
  return lineChart({ title, yLabel, xLabel, logarithmicX }, linesOf(report, value));
}

export function htmlStudies(machine: Machine, reports: readonly StudyReport[]): string {
  const parts = [`<p class="faint">${escapeHtml(describeMachine(machine))}.</p>`];
  return page('What follows what', [...parts, ...reports.flatMap(htmlStudy)].join('\n'));
}

export function htmlStudy(report: StudyReport): string[] {
  const { study } = report;
  return [
    `<h2>${escapeHtml(study.name)}</h2>`,
    `<p>${escapeHtml([study.about, ...notesOf(report)].join(' '))}</p>`,
    `<p class="faint">${escapeHtml(basisOf(study))}</p>`,
    ...STUDY_CHARTS.map((chart) => studyChart(report, chart)),
    `<div class="wide">${htmlTable(tableOfStudy(report))}</div>`,
  ];
}

function linesOf({ measured: points }: StudyReport, value: StudyChart['value']) {
  const all = new Set(points.map(({ series }) => series));
  return [...all].map((label) => ({
    label,
    points: points
      .filter(({ series }) => series === label)
      .map((point) => [point.x, value(point) ?? Number.NaN] as const)
      .filter(([, y]) => Number.isFinite(y)),
  }));
}

/** How the cost of a message grows, where another's stands beside ours. */
function growthNotes({ measured: points }: StudyReport): string[] {
  if (points.every(({ beside }) => beside === undefined)) return [];
  const grown = [...new Set(points.map(({ beside }) => beside))].flatMap((beside) => {
    const growth = growthOf(points.filter((point) => point.beside === beside));
    return growth === undefined ? [] : [`${beside ?? 'sluice'} ${growth.toFixed(2)}x`];
  });
  return [`CPU a message, dearest to cheapest point: ${grown.join('; ')}.`];
}

/** What the curves say in a word, and what makes them worth less than they look. */
function notesOf(report: StudyReport): string[] {
  const { study, measured: points } = report;
  const found = growthNotes(report);
  const slow = points.filter(({ sentPerSecond, workload }) => sentPerSecond < 0.98 * workload.rate);
  if (slow.length > 0) {
    found.push(
      `At ${slow.length} of ${points.length} points the generator could not hold its pace: the machine is too busy.`,
    );
  }
  const missing = study.points.length - points.length;
  if (missing > 0) found.push(`${missing} of ${study.points.length} points could not be measured.`);
  return found;
}

function basisOf(study: Study): string {
  const [first] = study.points;
  return first === undefined ? '' : `First point: ${describeWorkload(first.workload)}.`;
}
