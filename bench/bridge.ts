/**
 * `npm run bench`: Sluice and what one would write instead, one after the other on the same machine, with the
 * same load and the same real Kafka. Every contestant takes its turn in every round, in an order that
 * alternates; after each run Kafka's own offsets say whether all that was acknowledged is there.
 */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { list, rate, wholeNumber } from '../src/cli/terminal/option-values.ts';
import { BenchKafka } from './harness/bench-kafka.ts';
import { compare, prepare } from './harness/compare.ts';
import { CONTESTANTS, titleOf } from './harness/contestants.ts';
import type { Contestant } from './harness/contestants.ts';
import { describeMachine, machine } from './harness/machine.ts';
import { htmlReport, markdownReport, plainReport, writeReport } from './harness/report.ts';
import type { WorkloadReport } from './harness/report.ts';
import { contestantsOf, growthStudies, measureStudy, sweepStudies } from './harness/study.ts';
import type { Study, StudyReport } from './harness/study.ts';
import { htmlStudies, markdownStudies, plainStudy } from './harness/study-report.ts';
import { chosenWorkloads, PAYLOADS, WORKLOADS } from './harness/workloads.ts';
import type { Payload, WorkloadOptions } from './harness/workloads.ts';

interface BenchArguments {
  readonly workload?: readonly string[];
  readonly only?: readonly string[];
  readonly rounds?: number;
  readonly quick?: true;
  readonly sweep?: true;
  readonly growth?: true;
  readonly study?: readonly string[];
  readonly seconds?: number;
  readonly payload?: Payload;
  readonly devices?: number;
  readonly window?: number;
  readonly rate?: number;
  readonly warmup?: number;
  readonly qos?: string;
  readonly partitions?: number;
  readonly linger?: number;
  readonly batch?: number;
  readonly out: string;
}

const QUICK_SCALE = 0.1;

const EXAMPLES = `
Workloads:
${WORKLOADS.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}

Examples:
  npm run bench                                        everything: takes a while
  npm run bench -- --quick                             a tenth of it, once: to see that it works
  npm run bench -- --workload saturation --only sluice --only go
  npm run bench -- --workload fleet --linger 10
  npm run bench -- --sweep                             linger.ms and batch.size at several rates, Sluice alone
  npm run bench -- --growth                            more devices, routes, partitions

CPU is the bridge's processes alone, user and system time of all threads, from /proc (Linux). Peers are built
into .cache/bench at their first run; one whose toolchain is missing is left out, and the result says so.
`;

await new Command('bench')
  .description('compare Sluice with what one would write instead')
  .option('-w, --workload <name>', 'see below (may be repeated; default: all)', list)
  .option(
    '--only <text>',
    'only contestants whose title contains this, e.g. kafkajs (may be repeated)',
    collect,
  )
  .option(
    '--rounds <number>',
    'rounds; the results are medians (default: 3; of studies and quick: 1)',
    wholeNumber(1),
  )
  .option('--quick', 'a tenth of the time, one round')
  .option('--sweep', 'Sluice alone over linger.ms and batch.size')
  .option('--growth', 'Sluice over devices, routes and partitions; over devices beside Go and the floor')
  .option('--study <name>', 'with --sweep or --growth: only this one, e.g. linger.ms (may be repeated)', list)
  .option('--seconds <number>', 'length of each run (default: 6; of studies: 10)', wholeNumber(1))
  .addOption(new Option('--payload <type>', 'what devices send').choices(PAYLOADS))
  .option('-d, --devices <number>', 'connections', wholeNumber(1))
  .option('--window <number>', 'most messages in flight a device', wholeNumber(1))
  .option('-r, --rate <number|max>', 'messages a second in all', rate)
  .option('--warmup <number>', 'seconds before that (default: 6)', wholeNumber(0))
  .addOption(new Option('-q, --qos <level>', 'MQTT quality of service').choices(['0', '1']))
  .option('--partitions <number>', 'partitions of the topic', wholeNumber(1))
  .option('--linger <ms>', 'linger.ms of all contestants', wholeNumber(0))
  .option('--batch <bytes>', 'batch.size of all contestants', wholeNumber(1))
  .option('-o, --out <path>', 'all results, with the endings .json, .md and .html', '.cache/bench/report')
  .addHelpText('after', EXAMPLES)
  .action(bench)
  .parseAsync();

async function bench(options: BenchArguments): Promise<void> {
  const studies = chosenStudies(options);
  const contestants = chosenContestants(options, studies.length > 0);
  const workloads = chosenWorkloads(
    options.workload,
    changes(options),
    options.quick === true ? QUICK_SCALE : 1,
  );
  const field = await prepare(studies.length > 0 ? contestantsOf(studies, contestants) : contestants, say);
  say('starting Kafka');
  const kafka = await BenchKafka.start();
  try {
    if (studies.length > 0) await runStudies(studies, field.ready, options, kafka);
    else {
      const reports: WorkloadReport[] = [];
      const rounds = options.rounds ?? (options.quick === true ? 1 : 3);
      const at = machine();
      for (const workload of workloads) {
        const report = await compare(workload, field, rounds, kafka, say);
        process.stdout.write(plainReport(report));
        reports.push(report);
        // After each workload: an interrupted run has its results.
        const whole = { machine: at, rounds, workloads: reports };
        write(options, { json: whole, markdown: markdownReport(whole), html: htmlReport(whole) });
      }
      process.stdout.write(`\n${describeMachine(at)}\n${resolve(options.out)}.{json,md,html}\n`);
    }
  } finally {
    await kafka.stop();
  }
}

async function runStudies(
  studies: readonly Study[],
  contestants: readonly Contestant[],
  options: BenchArguments,
  kafka: BenchKafka,
): Promise<void> {
  const [contestant] = contestants;
  if (contestant === undefined) return;
  const reports: StudyReport[] = [];
  const at = machine();
  for (const study of studies) {
    const report = {
      study,
      measured: await measureStudy(study, contestants, options.rounds ?? 1, kafka, say),
    };
    process.stdout.write(plainStudy(report));
    reports.push(report);
    const json = { machine: at, contestant: titleOf(contestant), studies: reports };
    write(options, { json, markdown: markdownStudies(at, reports), html: htmlStudies(at, reports) });
  }
  process.stdout.write(`\n${describeMachine(at)}\n${resolve(options.out)}.{json,md,html}\n`);
}

function write(options: BenchArguments, contents: Parameters<typeof writeReport>[1]): void {
  writeReport(resolve(options.out), contents);
}

function chosenStudies({ sweep, growth, study, seconds = 10 }: BenchArguments): Study[] {
  const asked = [...(sweep ? sweepStudies(seconds) : []), ...(growth ? growthStudies(seconds) : [])];
  const chosen = asked.filter(({ name }) => study?.includes(name) ?? true);
  if (study !== undefined && chosen.length === 0) {
    const known = [...sweepStudies(seconds), ...growthStudies(seconds)].map(({ name }) => name);
    throw new Error(`no study ${study.join(', ')} with these options; there are ${known.join(', ')}`);
  }
  return chosen;
}

/** Studies are about one contestant: Sluice, raw, unless --only says another form of it; behind it, all others. */
function chosenContestants({ only }: BenchArguments, isStudy: boolean): readonly Contestant[] {
  const chosen = CONTESTANTS.filter((each) => only?.some((text) => titleOf(each).includes(text)) ?? true);
  if (chosen.length === 0) throw new Error(`no contestant is called ${(only ?? []).join(', ')}`);
  if (!isStudy) return chosen;
  return [...chosen.slice(0, 1), ...CONTESTANTS.filter((each) => each !== chosen[0])];
}

function changes(options: BenchArguments): WorkloadOptions {
  const {
    payload,
    devices,
    window,
    rate: perSecond,
    seconds,
    warmup,
    qos,
    partitions,
    linger,
    batch,
  } = options;
  const given = {
    payload,
    devices,
    window,
    rate: perSecond,
    length: seconds === undefined ? undefined : { seconds },
    warmupSeconds: warmup,
    qos: qos === undefined ? undefined : qos === '0' ? 0 : 1,
    partitions,
    lingerMs: linger,
    batchSizeBytes: batch,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** An option that may be repeated; titles have commas. */
function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** Progress, beside the results. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
