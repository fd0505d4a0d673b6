import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { svgFile } from '../../src/testbed/drill/report/html-page.ts';
import { aimsOf, tableOfAims } from './aims.ts';
import { measuredOn } from './record.ts';
import type { BenchRecord, StudyRecord } from './record.ts';
import { contestantList, cpuChart, markdownWorkload } from './report.ts';
import { markdownStudy, STUDY_CHARTS, studyChart } from './study-report.ts';
import type { StudyChart } from './study-report.ts';
import { markdownTable } from './table.ts';

const docs = resolve(import.meta.dirname, '../../docs');
const PAGE = join(docs, 'performance.md');
/** Beside the page: its charts, and the record itself. */
const FOLDER = 'performance';

/** A study that only asks what a message costs needs one chart; a sweep, what else changes with it. */
const CHARTS_OF_GROWTH = ['cpu'];
const CHARTS_OF_SWEEP = ['cpu', 'p99', 'requests', 'compression'];

/** Puts a record into docs/performance.md, with its charts beside it; returns the files that were written. */
export async function writeRecordDocs(record: BenchRecord): Promise<string[]> {
  const { sections, charts } = sectionsOf(record);
  mkdirSync(join(docs, FOLDER), { recursive: true });
  const files = charts.map(({ file, svg }) => {
    writeFileSync(join(docs, file), svg);
    return join(docs, file);
  });
  return [await fillPage(sections), ...files];
}

/** Puts sections between their marks in docs/performance.md; returns the page's file. */
export async function fillPage(sections: ReadonlyMap<string, string>): Promise<string> {
  const config = await resolveConfig(PAGE);
  const text = filled(readFileSync(PAGE, 'utf8'), sections);
  writeFileSync(PAGE, await format(text, { ...config, filepath: PAGE }));
  return PAGE;
}

interface ChartFile {
  /** Below docs/. */
  readonly file: string;
  readonly svg: string;
}

interface Sections {
  readonly sections: ReadonlyMap<string, string>;
  readonly charts: readonly ChartFile[];
}

/** What belongs between the marks of the page, by their names, and the charts that it refers to. */
export function sectionsOf(record: BenchRecord): Sections {
  const sections = new Map([['aims', markdownTable(tableOfAims(aimsOf(record)))]]);
  const charts: ChartFile[] = [];
  for (const part of record.comparisons) {
    const file = `${FOLDER}/${part.workload.name}.svg`;
    charts.push({ file, svg: svgFile(cpuChart(part.rows)) });
    const picture = `![CPU microseconds a message, ${part.workload.name}](${file})`;
    const { name } = part.workload;
    const paragraphs = [`### ${name}`, ...markdownWorkload(part), picture, measuredOn(part)];
    sections.set(name, paragraphs.join('\n\n'));
  }
  for (const part of record.studies) {
    const drawn = chartsOf(part).map((chart) => {
      const file = `${FOLDER}/${part.study.name.replaceAll('.', '-')}-${chart.name}.svg`;
      charts.push({ file, svg: svgFile(studyChart(part, chart)) });
      return `${chart.yLabel}:\n\n![${chart.yLabel} over ${part.study.xLabel}](${file})`;
    });
    const [about = '', basis = '', table = ''] = markdownStudy(part);
    const data = `<details><summary>The data of the charts</summary>\n\n${table}\n\n</details>`;
    const { name } = part.study;
    const paragraphs = [`### ${name}`, about, basis, ...drawn, data, measuredOn(part)];
    sections.set(name, paragraphs.join('\n\n'));
  }
  sections.set('contestants', `### How each is made\n\n${contestantList(record.comparisons)}`);
  return { sections, charts };
}

function chartsOf({ study }: StudyRecord): StudyChart[] {
  const isSweep = study.name === 'linger.ms' || study.name === 'batch.size';
  const names = isSweep ? CHARTS_OF_SWEEP : CHARTS_OF_GROWTH;
  return STUDY_CHARTS.filter(({ name }) => names.includes(name));
}

/** The page with its sections replaced; one that the record doesn't have stays as it is. */
export function filled(page: string, sections: ReadonlyMap<string, string>): string {
  return page.replace(
    /(<!-- bench:(\S+) -->)[^]*?(<!-- \/bench -->)/g,
    (whole, begin: string, name: string, end: string) => {
      const section = sections.get(name);
      return section === undefined ? whole : `${begin}\n\n${section}\n\n${end}`;
    },
  );
}
