/**
 * `npm run bench`: Sluice and what one would write instead, one after the other on the same machine, with the
 * same load and the same real Kafka. Every contestant takes its turn in every round, in an order that
 * alternates; after each run Kafka's own offsets say whether all that was acknowledged is there.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { list, rate, wholeNumber } from '../src/cli/option-values.ts';
import { startKafka } from '../test/support/kafka.ts';
import { CONTESTANTS } from './harness/contestants.ts';
import type { Contestant } from './harness/contestants.ts';
import { runOnce } from './harness/run.ts';
import type { RunResult, Workload } from './harness/run.ts';
import { titleOf, summarise, table } from './harness/summary.ts';

interface BenchArguments {
  readonly workload?: readonly string[];
  readonly rounds: number;
  readonly only?: readonly string[];
  readonly devices?: number;
  readonly window?: number;
  readonly rate?: number;
  readonly messages?: number;
  readonly warmup?: number;
  readonly qos: string;
  readonly partitions: number;
  readonly out: string;
}

/** What a workload's name stands for; options change parts of it. */
const WORKLOADS: Readonly<Record<string, Omit<Workload, 'name' | 'qos' | 'partitions'>>> = {
  saturation: { devices: 100, window: 100, rate: 0, messages: 500_000, warmup: 200_000 },
  fleet: { devices: 1_000, window: 20, rate: 20_000, messages: 200_000, warmup: 40_000 },
};

const EXAMPLES = `
Examples:
  npm run bench
  npm run bench -- --workload saturation --rounds 1 --only sluice
  npm run bench -- --workload fleet --devices 10000

Workloads: saturation keeps every device's window full; fleet is a real one, where each of many devices
sends a message now and then. CPU is the bridge's process alone, user and system time of all its threads,
from /proc (Linux). PUBACK times under saturation follow from the windows, not from the bridge alone.
`;

await new Command('bench')
  .description('compare Sluice with what one would write instead')
  .option('-w, --workload <name>', `${Object.keys(WORKLOADS).join(', ')} (default: all)`, list)
  .option('--rounds <number>', 'rounds; the table shows medians', wholeNumber(1), 3)
  .option('--only <text>', 'only contestants whose title contains this, e.g. kafkajs (may be repeated)', list)
  .option('-d, --devices <number>', 'connections', wholeNumber(1))
  .option('--window <number>', 'most messages in flight a device', wholeNumber(1))
  .option('-r, --rate <number|max>', 'messages a second in all', rate)
  .option('-n, --messages <number>', 'messages that are measured', wholeNumber(1))
  .option('--warmup <number>', 'messages before that', wholeNumber(0))
  .addOption(new Option('-q, --qos <level>', 'MQTT quality of service').choices(['0', '1']).default('1'))
  .option('--partitions <number>', 'partitions of the topic', wholeNumber(1), 8)
  .option('-o, --out <file>', 'all results as JSON', '.cache/bench.json')
  .addHelpText('after', EXAMPLES)
  .action(bench)
  .parseAsync();

async function bench(options: BenchArguments): Promise<void> {
  const workloads = chosenWorkloads(options);
  const contestants = CONTESTANTS.filter(
    (each) => options.only?.some((text) => titleOf(each).includes(text)) ?? true,
  );
  if (contestants.length === 0) throw new Error(`no contestant is called ${(options.only ?? []).join(', ')}`);

  say('starting Kafka');
  const kafka = await startKafka();
  const report = { machine: machine(), workloads: [] as object[] };
  try {
    for (const workload of workloads) {
      const results = await runRounds(workload, contestants, options.rounds, kafka.bootstrapServers);
      const rows = summarise(contestants, results);
      process.stdout.write(
        `\n${describe(workload, options.rounds)}\n\n${table(rows)}\n${notes(workload, results)}`,
      );
      report.workloads.push({ workload, rows, results });
    }
  } finally {
    await kafka.stop();
  }
  const out = resolve(options.out);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(
    `\n${report.machine.cpu}, ${report.machine.cores} cores, Node ${report.machine.node}\n${out}\n`,
  );
}

async function runRounds(
  workload: Workload,
  contestants: readonly Contestant[],
  rounds: number,
  bootstrapServers: string,
): Promise<RunResult[]> {
  const results: RunResult[] = [];
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? contestants : contestants.toReversed();
    for (const [turn, contestant] of order.entries()) {
      say(`${workload.name}, round ${round} of ${rounds}: ${titleOf(contestant)}`);
      const topic = `bench-${workload.name}-${round}-${turn}`;
      const result = await runOnce(contestant, workload, bootstrapServers, topic);
      const { perSecond, cpuMicrosPerMessage } = result;
      say(`  ${Math.round(perSecond)} messages/s, ${cpuMicrosPerMessage.toFixed(2)} us of CPU a message`);
      results.push(result);
    }
  }
  return results;
}

function chosenWorkloads(options: BenchArguments): Workload[] {
  return (options.workload ?? Object.keys(WORKLOADS)).map((name) => {
    const preset = WORKLOADS[name];
    if (preset === undefined)
      throw new Error(`no workload ${name}; there are ${Object.keys(WORKLOADS).join(', ')}`);
    return {
      name,
      devices: options.devices ?? preset.devices,
      window: options.window ?? preset.window,
      rate: options.rate ?? preset.rate,
      messages: options.messages ?? preset.messages,
      warmup: options.warmup ?? preset.warmup,
      qos: options.qos === '0' ? 0 : 1,
      partitions: options.partitions,
    };
  });
}

/** What makes the numbers worth less than they look. */
function notes({ rate: wanted }: Workload, results: readonly RunResult[]): string {
  const slowest = Math.min(...results.map(({ sentPerSecond }) => sentPerSecond));
  if (wanted === 0 || slowest > 0.98 * wanted) return '';
  return `\nThe generator held only ${Math.round(slowest)} of ${wanted} messages/s: the machine is too busy.\n`;
}

function describe(
  { name, devices, window, rate: perSecond, messages, qos }: Workload,
  rounds: number,
): string {
  const pace = perSecond === 0 ? `${window} in flight each` : `${perSecond} messages/s in all`;
  return `${name}: ${devices} devices, QoS ${qos}, ${pace}, ${messages} messages, median of ${rounds}`;
}

function machine(): { cpu: string; cores: number; node: string; revision: string } {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.versions.node,
    revision: git('describe', '--always', '--dirty'),
  };
}

/** Progress, beside the results. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
