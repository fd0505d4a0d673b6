import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { list, wholeNumber } from '../src/cli/terminal/option-values.ts';
import { classpath, ensureKafkaJars, findJava } from '../src/testbed/local-kafka/jars.ts';
import { startKafka } from '../test/support/kafka.ts';
import { BenchTopic } from './harness/kafka-topic.ts';
import { describeMachine, machine } from './harness/machine.ts';
import { plainText } from './harness/table.ts';
import { Unavailable, build } from './harness/toolchain.ts';
import { type Assignment, type Figures, writePool } from './producers/records.ts';

/**
 * `npm run bench:producer`: our producer and its alternatives, one after the other on the same real Kafka, with the
 * same records (none like another), in lz4, acks=all, idempotent. CPU is the client process's own.
 */

const run = promisify(execFile);

interface BenchArguments {
  readonly seconds: number;
  readonly warmup: number;
  readonly size?: readonly string[];
  readonly only?: readonly string[];
  readonly rounds: number;
  readonly partitions: number;
  readonly linger: number;
  readonly batch: number;
  readonly out: string;
}

interface Contestant {
  readonly name: string;
  readonly command: (assignment: Assignment) => Promise<readonly [program: string, ...args: string[]]>;
}

const CONTESTANTS: readonly Contestant[] = [
  { name: 'sluice, send with callback', command: node('sluice-send.ts') },
  { name: 'sluice, tryAppend', command: node('sluice-append.ts') },
  { name: 'java', command: java },
  { name: 'platformatic', command: node('platformatic.ts') },
  { name: 'kafkajs', command: node('kafkajs.ts') },
];

interface Result extends Figures {
  readonly contestant: string;
  readonly valueBytes: number;
  readonly round: number;
  /** In Kafka's topic afterwards, beyond or below what was sent. */
  readonly surplus: number;
}

await new Command('bench:producer')
  .description('Producers side by side: records a second, and CPU a record of the client.')
  .option('--seconds <number>', 'how long each contestant is measured', wholeNumber(1), 6)
  .option('--warmup <number>', 'seconds before that', wholeNumber(1), 5)
  .option('--size <bytes>', 'bytes of a value; may be repeated (100 and 1024)', list)
  .option('--only <name>', 'contestants whose names begin so; may be repeated', list)
  .option(
    '--rounds <number>',
    'each contestant takes so many turns; the medians are shown',
    wholeNumber(1),
    1,
  )
  .option('--partitions <number>', 'partitions of the topic', wholeNumber(1), 8)
  .option('--linger <ms>', 'linger.ms, where there is one', wholeNumber(0), 5)
  .option('--batch <bytes>', 'batch.size, where there is one', wholeNumber(1), 65_536)
  .option('-o, --out <file>', 'all results', '.cache/bench/producer.json')
  .action(bench)
  .parseAsync();

async function bench(options: BenchArguments): Promise<void> {
  const at = machine();
  const field = CONTESTANTS.filter(
    ({ name }) => options.only?.some((prefix) => name.startsWith(prefix)) ?? true,
  );
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const pool = join(folder, 'pool');
  writePool(pool);
  const kafka = await startKafka();
  const results: Result[] = [];
  try {
    for (const size of options.size ?? ['100', '1024']) {
      const valueBytes = Number(size);
      for (let round = 1; round <= options.rounds; round++) {
        const turns = round % 2 === 1 ? field : field.toReversed();
        for (const contestant of turns) {
          const result = await turn(contestant, kafka.bootstrapServers, {
            ...options,
            valueBytes,
            pool,
            round,
          });
          if (result !== undefined) results.push(result);
        }
      }
      const ofSize = results.filter((result) => result.valueBytes === valueBytes);
      process.stdout.write(`\n${size}-byte values\n${table(ofSize, field)}\n`);
    }
  } finally {
    await kafka.stop();
    rmSync(folder, { recursive: true });
  }
  const out = resolve(options.out);
  mkdirSync(join(out, '..'), { recursive: true });
  writeFileSync(out, JSON.stringify({ machine: at, options, results }, null, 2));
  process.stdout.write(`\n${describeMachine(at)}\n${out}\n`);
}

/** One run of one contestant on a topic of its own; undefined, with the reason said, if it can't take part. */
async function turn(
  { name, command }: Contestant,
  bootstrapServers: string,
  options: BenchArguments & { valueBytes: number; pool: string; round: number },
): Promise<Result | undefined> {
  const { seconds, warmup, valueBytes, pool, round, linger, batch } = options;
  const topic = await BenchTopic.create(bootstrapServers, `bench-${crypto.randomUUID()}`, options.partitions);
  const assignment: Assignment = {
    bootstrapServers,
    topic: topic.name,
    warmupMs: warmup * 1000,
    measuredMs: seconds * 1000,
    valueBytes,
    lingerMs: linger,
    batchBytes: batch,
    pool,
  };
  try {
    process.stderr.write(`${name}, ${valueBytes} bytes ...\n`);
    const [program, ...args] = await command(assignment);
    const { stdout } = await run(program, args);
    const figures = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Figures;
    const surplus = (await topic.records()) - figures.warmedUp - figures.records;
    return { contestant: name, valueBytes, round, surplus, ...figures };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    process.stderr.write(`${name} is left out: ${error.message}\n`);
    return undefined;
  } finally {
    await topic.remove();
  }
}

function table(results: readonly Result[], field: readonly Contestant[]): string {
  const rows = field.flatMap(({ name }) => {
    const turns = results.filter(({ contestant }) => contestant === name);
    if (turns.length === 0) return [];
    const cpuMicros = median(turns.map((turn) => turn.cpuMicros / turn.records));
    return {
      name,
      cpuMicros,
      perSecond: median(turns.map((turn) => turn.records / (turn.elapsedMs / 1_000))),
      turns,
    };
  });
  const first = rows[0]?.cpuMicros ?? 1;
  return plainText({
    head: ['producer', 'records/s', 'CPU us/record', 'ratio', 'errors', 'surplus'],
    wordColumns: 1,
    rows: rows.map(({ name, cpuMicros, perSecond, turns }) => [
      name,
      Math.round(perSecond).toLocaleString('en-US'),
      cpuMicros.toFixed(2),
      `${(cpuMicros / first).toFixed(2)}x`,
      String(turns.reduce((sum, { errors }) => sum + errors, 0)),
      String(turns.reduce((sum, { surplus }) => sum + surplus, 0)),
    ]),
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

function node(file: string): Contestant['command'] {
  const program = join(import.meta.dirname, 'producers', file);
  return (assignment) => Promise.resolve([process.execPath, program, JSON.stringify(assignment)]);
}

/** Kafka's own jars are the broker's, so that the producer is of the same release. */
async function java(assignment: Assignment): Promise<readonly [string, ...string[]]> {
  const jars = classpath(await ensureKafkaJars(() => {}));
  const classes = await build({
    folder: 'java-producer',
    tool: ['javac', '-version'],
    command: (source, out) => ['javac', '-cp', jars, '-d', out, join(source, 'ProducerLoad.java')],
  });
  const { bootstrapServers, topic, warmupMs, measuredMs, valueBytes, lingerMs, batchBytes, pool } =
    assignment;
  const args = [bootstrapServers, topic, warmupMs, measuredMs, valueBytes, lingerMs, batchBytes, pool].map(
    String,
  );
  return [await findJava(), '-cp', `${classes}:${jars}`, 'ProducerLoad', ...args];
}
