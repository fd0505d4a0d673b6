import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { barChart } from './charts.ts';
import { titleOf } from './contestants.ts';
import { describeMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { escapeHtml, page } from '../../src/testbed/drill/report/html-page.ts';
import type { RunResult } from './run.ts';
import type { Row } from './summary.ts';
import { htmlTable, markdownTable, plainText, tableOf } from './table.ts';
import { describeWorkload } from './workloads.ts';
import type { Workload } from './workloads.ts';

export interface Report {
  readonly machine: Machine;
  readonly rounds: number;
  readonly workloads: readonly WorkloadReport[];
}

export interface WorkloadReport {
  readonly workload: Workload;
  readonly rows: readonly Row[];
  readonly skipped: readonly Skipped[];
  readonly results: readonly RunResult[];
}

/** A contestant that did not take part, and why. */
export interface Skipped {
  readonly title: string;
  readonly reason: string;
}

export const HOW =
  'CPU is user and system time of the bridge alone, all threads. The rows show medians over the rounds; the ratio ' +
  'compares CPU a message with the first row. PUBACK times run from the write of a PUBLISH to the read of its ' +
  'PUBACK; where windows are kept full they are a queue of devices x window messages.';

/** One workload for a terminal. */
export function plainReport({ workload, rows, skipped, results }: WorkloadReport): string {
  return [
    '',
    `${workload.name}: ${describeWorkload(workload)}`,
    '',
    plainText(tableOf(workload, rows)),
    ...notes(workload, results).map((note) => `  ${note}`),
    ...skipped.map(({ title, reason }) => `  without ${title}: ${reason}`),
    '',
  ].join('\n');
}

export function markdownReport({ machine, rounds, workloads }: Report): string {
  const parts = [`# Sluice beside the alternatives`, `${describeMachine(machine)}; ${rounds} rounds.`, HOW];
  for (const each of workloads) parts.push(`## ${each.workload.name}`, ...markdownWorkload(each));
  parts.push('## Contestants', contestantList(workloads));
  return `${parts.join('\n\n')}\n`;
}

/** What was asked, the table, and what is to be said of it; paragraphs. */
export function markdownWorkload({ workload, rows, skipped, results }: WorkloadReport): string[] {
  return [
    `${workload.about} ${describeWorkload(workload)}.`,
    markdownTable(tableOf(workload, rows)),
    ...notes(workload, results),
    ...skippedList(skipped),
  ];
}

/** How each of those that took part is made; a list. */
export function contestantList(workloads: readonly WorkloadReport[]): string {
  return abouts(workloads)
    .map(([title, about]) => `- ${title}: ${about}`)
    .join('\n');
}

function skippedList(skipped: readonly Skipped[]): string[] {
  if (skipped.length === 0) return [];
  return ['Did not take part:', skipped.map(({ title, reason }) => `- ${title}: ${reason}`).join('\n')];
}

export function htmlReport({ machine, rounds, workloads }: Report): string {
  const parts = [
    `<p class="faint">${escapeHtml(describeMachine(machine))}; ${rounds} rounds.</p>`,
    `<p>${HOW}</p>`,
    ...workloads.flatMap(htmlWorkload),
    '<h2>Contestants</h2>',
    `<ul>${abouts(workloads)
      .map(([title, about]) => `<li>${escapeHtml(`${title}: ${about}`)}</li>`)
      .join('\n')}</ul>`,
  ];
  return page('Sluice beside the alternatives', parts.join('\n'));
}

export function htmlWorkload({ workload, rows, skipped, results }: WorkloadReport): string[] {
  const bars = (value: (row: Row) => number) =>
    rows.map((row) => ({ label: row.title, value: value(row), isOurs: row.name.startsWith('sluice') }));
  return [
    `<h2>${escapeHtml(workload.name)}</h2>`,
    `<p>${escapeHtml(`${workload.about} ${describeWorkload(workload)}.`)}</p>`,
    cpuChart(rows),
    workload.rate === 0
      ? barChart(
          'Throughput',
          'messages/s',
          bars((row) => row.perSecond),
        )
      : '',
    workload.qos === 1
      ? barChart(
          'PUBLISH to PUBACK, p99',
          'ms',
          bars((row) => row.p99Ms),
        )
      : '',
    barChart(
      'Most resident memory',
      'MB',
      bars((row) => row.peakMemoryBytes / 2 ** 20),
    ),
    `<div class="wide">${htmlTable(tableOf(workload, rows))}</div>`,
    ...notes(workload, results).map((note) => `<p class="faint">${escapeHtml(note)}</p>`),
    ...skipped.map(
      ({ title, reason }) => `<p class="faint">${escapeHtml(`Without ${title}: ${reason}`)}</p>`,
    ),
  ];
}

/** A figure of HTML. */
export function cpuChart(rows: readonly Row[]): string {
  return barChart(
    'CPU a message',
    'microseconds; lines from the least to the most of the rounds',
    rows.map((row) => ({
      label: row.title,
      value: row.cpuMicrosPerMessage,
      range: row.cpuMicrosRange,
      isOurs: row.name.startsWith('sluice'),
    })),
  );
}

/** What makes the numbers worth less than they look. */
function notes({ rate }: Workload, results: readonly RunResult[]): string[] {
  const found: string[] = [];
  const slowest = Math.min(...results.map(({ sentPerSecond }) => sentPerSecond));
  if (rate > 0 && slowest < 0.98 * rate) {
    found.push(
      `The generator held only ${Math.round(slowest)} of ${rate} messages/s: the machine is too busy.`,
    );
  }
  for (const { contestant, expectedInKafka, inKafka } of results) {
    const missing = expectedInKafka - inKafka;
    if (missing > 0) found.push(`${titleOf(contestant)} lost ${missing.toLocaleString('en-US')} messages.`);
  }
  return found;
}

function abouts(workloads: readonly WorkloadReport[]): [string, string][] {
  const all = new Map<string, string>();
  for (const { contestant } of workloads.flatMap(({ results }) => results)) {
    all.set(titleOf(contestant), contestant.about);
  }
  return [...all];
}

/** Writes `out` with the endings .json, .md and .html; returns the files. */
export function writeReport(
  out: string,
  contents: { readonly json: object; readonly markdown: string; readonly html: string },
): string[] {
  mkdirSync(dirname(out), { recursive: true });
  const files = {
    json: `${JSON.stringify(contents.json, null, 2)}\n`,
    md: contents.markdown,
    html: contents.html,
  };
  return Object.entries(files).map(([ending, text]) => {
    const file = `${out}.${ending}`;
    writeFileSync(file, text);
    return file;
  });
}
