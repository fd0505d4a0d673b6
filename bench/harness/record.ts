import { existsSync, readFileSync } from 'node:fs';
import { page, escapeHtml } from '../../src/testbed/drill/report/html-page.ts';
import { aimsOf, tableOfAims } from './aims.ts';
import { describeMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { contestantList, HOW, htmlWorkload, markdownWorkload } from './report.ts';
import type { WorkloadReport } from './report.ts';
import type { StudyReport } from './study.ts';
import { htmlStudy, markdownStudy } from './study-report.ts';
import { htmlTable, markdownTable } from './table.ts';

/** Everything that `npm run bench:record` measured, each part with the machine as it was then. */
export interface BenchRecord {
  readonly comparisons: readonly ComparisonRecord[];
  readonly studies: readonly StudyRecord[];
}

export interface ComparisonRecord extends WorkloadReport {
  readonly machine: Machine;
  readonly rounds: number;
}

export interface StudyRecord extends StudyReport {
  readonly machine: Machine;
  readonly rounds: number;
}

export function readRecord(file: string): BenchRecord {
  if (!existsSync(file)) return { comparisons: [], studies: [] };
  return JSON.parse(readFileSync(file, 'utf8')) as BenchRecord;
}

/** The record with a part that was measured anew in the place of the old one. */
export function withComparison(record: BenchRecord, part: ComparisonRecord): BenchRecord {
  return { ...record, comparisons: put(record.comparisons, part, ({ workload }) => workload.name) };
}

export function withStudy(record: BenchRecord, part: StudyRecord): BenchRecord {
  return { ...record, studies: put(record.studies, part, ({ study }) => study.name) };
}

function put<T>(parts: readonly T[], part: T, nameOf: (part: T) => string): T[] {
  const at = parts.findIndex((each) => nameOf(each) === nameOf(part));
  return at < 0 ? [...parts, part] : parts.with(at, part);
}

export function markdownRecord(record: BenchRecord): string {
  return `${[
    '# Sluice beside the alternatives',
    HOW,
    '## What was aimed at',
    markdownTable(tableOfAims(aimsOf(record))),
    ...record.comparisons.flatMap((part) => [
      `## ${part.workload.name}`,
      ...markdownWorkload(part),
      measuredOn(part),
    ]),
    ...record.studies.flatMap((part) => [...markdownStudy(part), measuredOn(part)]),
    '## Contestants',
    contestantList(record.comparisons),
  ].join('\n\n')}\n`;
}

export function htmlRecord(record: BenchRecord): string {
  const faint = (text: string): string => `<p class="faint">${escapeHtml(text)}</p>`;
  const parts = [
    `<p>${HOW}</p>`,
    '<h2>What was aimed at</h2>',
    `<div class="wide">${htmlTable(tableOfAims(aimsOf(record)))}</div>`,
    ...record.comparisons.flatMap((part) => [...htmlWorkload(part), faint(measuredOn(part))]),
    ...record.studies.flatMap((part) => [...htmlStudy(part), faint(measuredOn(part))]),
  ];
  return page('Sluice beside the alternatives', parts.join('\n'));
}

export function measuredOn({
  machine,
  rounds,
}: {
  readonly machine: Machine;
  readonly rounds: number;
}): string {
  return `${describeMachine(machine)}; ${rounds === 1 ? 'one round' : `medians of ${rounds} rounds`}.`;
}
