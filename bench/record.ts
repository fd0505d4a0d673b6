/**
 * `npm run bench:record`: everything that docs/performance.md shows, measured in one go, and with `--docs` put into it.
 * Each part is written down as soon as it is measured, in the place of what was there, so that one part can be
 * measured again by itself.
 */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { list, wholeNumber } from '../src/cli/terminal/option-values.ts';
import { BenchKafka } from './harness/bench-kafka.ts';
import { compare, prepare } from './harness/compare.ts';
import type { Field } from './harness/compare.ts';
import { CONTESTANTS, titleOf } from './harness/contestants.ts';
import { machine } from './harness/machine.ts';
import { RECORD, SECONDS_A_STUDY_POINT } from './harness/plan.ts';
import type { PlannedComparison } from './harness/plan.ts';
import { htmlRecord, markdownRecord, readRecord, withComparison, withStudy } from './harness/record.ts';
import type { BenchRecord } from './harness/record.ts';
import { writeRecordDocs } from './harness/record-docs.ts';
import { plainReport, writeReport } from './harness/report.ts';
import { contestantsOf, growthStudies, measureStudy, sweepStudies } from './harness/study.ts';
import type { Study } from './harness/study.ts';
import { plainStudy } from './harness/study-report.ts';
import { chosenWorkloads } from './harness/workloads.ts';

interface RecordArguments {
  readonly part?: readonly string[];
  readonly quick?: true;
  readonly rounds?: number;
  readonly seconds: number;
  readonly out: string;
  readonly docs?: true;
  readonly measure: boolean;
}

const QUICK_SCALE = 0.1;
const STUDIES = (seconds: number): Study[] => [...sweepStudies(seconds), ...growthStudies(seconds)];
const PARTS = [...RECORD.map(({ workload }) => workload), ...STUDIES(1).map(({ name }) => name)];

await new Command('bench:record')
  .description('measure everything that docs/performance.md shows')
  .option('-p, --part <name>', `only this one: ${PARTS.join(', ')} (may be repeated)`, list)
  .option('--quick', 'a tenth of the messages, one round: to see that it works')
  .option('--rounds <number>', 'of each comparison, in place of one to three as it deserves', wholeNumber(1))
  .option('--seconds <number>', 'length of each run of a study', wholeNumber(1), SECONDS_A_STUDY_POINT)
  .option('-o, --out <path>', 'the record, with the endings .json, .md and .html', '.cache/bench/record')
  .option('--docs', 'put tables and charts into docs/performance.md')
  .option('--no-measure', 'with --docs: only write them, from the record that is there')
  .action(main)
  .parseAsync();

async function main(options: RecordArguments): Promise<void> {
  const { part: parts = PARTS, out, docs } = options;
  const unknown = parts.find((part) => !PARTS.includes(part));
  if (unknown !== undefined) throw new Error(`no part ${unknown}; there are ${PARTS.join(', ')}`);
  let record = readRecord(`${resolve(out)}.json`);
  if (options.measure) {
    await measure(parts, options, (changed) => {
      record = changed(record);
      writeReport(resolve(out), {
        json: record,
        markdown: markdownRecord(record),
        html: htmlRecord(record),
      });
    });
  }
  if (docs === true) for (const file of await writeRecordDocs(record)) say(file);
  process.stdout.write(`${resolve(out)}.{json,md,html}\n`);
}

type Change = (record: BenchRecord) => BenchRecord;

async function measure(
  parts: readonly string[],
  { quick, rounds: wantedRounds, seconds }: RecordArguments,
  keep: (change: Change) => void,
): Promise<void> {
  const planned = RECORD.filter(({ workload }) => parts.includes(workload));
  const studies = STUDIES(quick === true ? 1 : seconds).filter(({ name }) => parts.includes(name));
  const studied = contestantsOf(studies, CONTESTANTS);
  const wanted = CONTESTANTS.filter(
    (each) => studied.includes(each) || planned.some(({ only }) => isAmong(titleOf(each), only)),
  );
  const field = await prepare(wanted, say);
  const kafka = await BenchKafka.start();
  try {
    for (const comparison of planned) {
      const at = machine();
      const rounds = quick === true ? 1 : (wantedRounds ?? comparison.rounds);
      const [workload] = chosenWorkloads(
        [comparison.workload],
        quick === true ? {} : (comparison.changes ?? {}),
        quick === true ? QUICK_SCALE : 1,
      );
      if (workload === undefined) continue;
      const report = await compare(workload, fieldOf(field, comparison), rounds, kafka, say);
      process.stdout.write(plainReport(report));
      keep((record) => withComparison(record, { ...report, machine: at, rounds }));
    }
    for (const study of studies) {
      const at = machine();
      const report = { study, measured: await measureStudy(study, field.ready, 1, kafka, say) };
      process.stdout.write(plainStudy(report));
      keep((record) => withStudy(record, { ...report, machine: at, rounds: 1 }));
    }
  } finally {
    await kafka.stop();
  }
}

function fieldOf({ ready, absent }: Field, { only }: PlannedComparison): Field {
  return {
    ready: ready.filter((contestant) => isAmong(titleOf(contestant), only)),
    absent: absent.filter(({ title }) => isAmong(title, only)),
  };
}

function isAmong(title: string, only: readonly string[] | undefined): boolean {
  return only?.some((text) => title.includes(text)) ?? true;
}

/** Progress, beside the results. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
