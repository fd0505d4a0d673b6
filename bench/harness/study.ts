import type { BenchKafka } from './bench-kafka.ts';
import { titleOf } from './contestants.ts';
import type { Contestant } from './contestants.ts';
import { runOnce } from './run.ts';
import type { RunResult } from './run.ts';
import { median } from './summary.ts';
import { WORKLOADS } from './workloads.ts';
import type { Workload } from './workloads.ts';

/** One thing is changed, the others stay: how the cost of a message follows it. */
export interface Study {
  readonly name: string;
  readonly about: string;
  readonly xLabel: string;
  readonly logarithmicX: boolean;
  readonly points: readonly StudyPoint[];
}

export interface StudyPoint {
  readonly series: string;
  readonly x: number;
  readonly workload: Workload;
  /** Whose point it is: a contestant's whose title begins so. Left out, the one's that the study is about. */
  readonly beside?: string;
}

/** What was measured at a point: medians over the rounds. */
export interface Measured extends StudyPoint {
  readonly cpuMicrosPerMessage: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** What the generator sent; below the workload's rate, the machine was too busy to tell anything. */
  readonly sentPerSecond: number;
  /** Only Sluice tells these. */
  readonly requestsPerSecond?: number;
  readonly recordsPerBatch?: number;
  /** Bytes before compression to bytes behind it. */
  readonly compressionRatio?: number;
  readonly kafkaBytesPerMessage: number;
  readonly peakMemoryBytes: number;
}

const LINGERS_MS = [0, 5, 10, 25, 50, 100];
const BATCH_KIB = [4, 16, 64, 128, 512];
const RATES = [500, 2_000, 8_000, 20_000];
const DEVICES = [100, 300, 1_000, 3_000, 10_000];
const ROUTES = [1, 10, 100, 1_000];
/** At the growth's rate and the shipped linger.ms a batch holds 100 records of one and of two partitions. */
const PARTITIONS = [1, 2, 4, 16, 64, 256];
/** What grows with the devices whatever a bridge does: sockets that are only answered, now or later; and a good bridge. */
const BESIDE = ['go: mochi-mqtt + franz-go, raw', 'node, sockets alone', 'node, answers after linger.ms'];
const DEVICES_BESIDE = [100, 1_000, 10_000];
const GROWTH_RATE = 10_000;

/** `--sweep`: what linger.ms and batch.size do at several rates. */
export function sweepStudies(seconds: number): Study[] {
  return [
    {
      name: 'linger.ms',
      about: 'CPU, latency and compression over linger.ms, at several rates, with the shipped batch.size.',
      xLabel: 'linger.ms',
      logarithmicX: true,
      points: RATES.flatMap((rate) =>
        LINGERS_MS.map((lingerMs) => ({
          series: `${rate.toLocaleString('en-US')} messages/s`,
          x: lingerMs,
          workload: paced({ rate, lingerMs }, seconds),
        })),
      ),
    },
    {
      name: 'batch.size',
      about: 'The same over batch.size, with the shipped linger.ms.',
      xLabel: 'batch.size, KiB',
      logarithmicX: true,
      points: RATES.filter((rate) => rate >= 2_000).flatMap((rate) =>
        BATCH_KIB.map((kib) => ({
          series: `${rate.toLocaleString('en-US')} messages/s`,
          x: kib,
          workload: paced({ rate, batchSizeBytes: kib * 1024 }, seconds),
        })),
      ),
    },
  ];
}

/** `--growth`: whether a message costs the same whatever there is more of. */
export function growthStudies(seconds: number): Study[] {
  const fixed = `at ${GROWTH_RATE.toLocaleString('en-US')} messages/s in all`;
  const series = `${GROWTH_RATE.toLocaleString('en-US')} messages/s`;
  const workload = (changes: Partial<Workload>): Workload =>
    paced({ rate: GROWTH_RATE, ...changes }, seconds);
  const points = (change: (x: number) => Partial<Workload>, xs: readonly number[]): StudyPoint[] =>
    xs.map((x) => ({ series, x, workload: workload(change(x)) }));
  return [
    {
      name: 'devices',
      about: `From few devices to many, ${fixed}.`,
      xLabel: 'devices',
      logarithmicX: true,
      points: [
        ...points((devices) => ({ devices }), DEVICES),
        ...BESIDE.flatMap((beside) =>
          DEVICES_BESIDE.map((x) => ({ series: beside, x, beside, workload: workload({ devices: x }) })),
        ),
      ],
    },
    {
      name: 'routes',
      about: `From one device profile to many, ${fixed}, 1,000 devices.`,
      xLabel: 'device profiles',
      logarithmicX: true,
      points: points((routes) => ({ routes }), ROUTES),
    },
    {
      name: 'partitions',
      about: `From one partition to many, ${fixed}, 1,000 devices: batches get smaller.`,
      xLabel: 'partitions',
      logarithmicX: true,
      points: points((partitions) => ({ partitions }), PARTITIONS),
    },
  ];
}

/**
 * A real fleet for so many seconds. Every bridge is warmed up alike, whatever its rate: over its first thousands of
 * messages a process pays for translating itself, which at 500 messages/s would be most of what is measured.
 */
function paced(changes: Partial<Workload>, seconds: number): Workload {
  const fleet = WORKLOADS.find(({ name }) => name === 'fleet') as Workload;
  const workload = { ...fleet, window: 100, ...changes };
  return { ...workload, length: { seconds }, warmupRate: 15_000 };
}

/**
 * All points of a study that can be measured, `rounds` times, every other round backwards. `contestants`: the one
 * that it is about, and those that it may show beside.
 */
export async function measureStudy(
  study: Study,
  contestants: readonly Contestant[],
  rounds: number,
  kafka: BenchKafka,
  say: (text: string) => void,
): Promise<Measured[]> {
  const results = new Map<StudyPoint, RunResult[]>();
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? study.points : study.points.toReversed();
    for (const [turn, point] of order.entries()) {
      say(`${study.name}, round ${round} of ${rounds}: ${point.series}, ${study.xLabel} ${point.x}`);
      const topic = `study-${study.name}-${round}-${turn}`;
      try {
        const result = await runOnce(contestantOf(point, contestants), point.workload, kafka, topic);
        say(`  ${result.cpuMicrosPerMessage.toFixed(2)} us of CPU a message`);
        results.set(point, [...(results.get(point) ?? []), result]);
      } catch (error) {
        // One that breaks must not end the study: it has a curve without this point.
        say(`  left out: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return study.points.flatMap((point) => {
    const runs = results.get(point);
    return runs === undefined ? [] : [measured(point, runs)];
  });
}

/** @throws Error it is not there */
function contestantOf({ beside }: StudyPoint, contestants: readonly Contestant[]): Contestant {
  const found =
    beside === undefined ? contestants[0] : contestants.find((one) => titleOf(one).startsWith(beside));
  if (found === undefined) throw new Error(`${beside ?? 'the contestant'} can't take part here`);
  return found;
}

/** Of these contestants those that a study needs: the first, which it is about, and those beside it. */
export function contestantsOf(studies: readonly Study[], all: readonly Contestant[]): Contestant[] {
  const points = studies.flatMap((study) => study.points);
  const beside = new Set(points.flatMap((point) => point.beside ?? []));
  return all.filter((one, at) => at === 0 || [...beside].some((text) => titleOf(one).startsWith(text)));
}

function measured(point: StudyPoint, runs: readonly RunResult[]): Measured {
  const counter = (run: RunResult, name: string): number =>
    run.counters?.[`sluice_producer_${name}_total`] ?? NaN;
  const each = (value: (run: RunResult) => number): number => median(runs.map(value));
  return {
    ...(runs.every(({ counters }) => counters !== undefined) && {
      requestsPerSecond: each((run) => (counter(run, 'request') * run.perSecond) / run.messages),
      recordsPerBatch: each((run) => counter(run, 'record_send') / counter(run, 'batch_send')),
      compressionRatio: each((run) => counter(run, 'uncompressed_bytes') / counter(run, 'outgoing_bytes')),
    }),
    ...point,
    cpuMicrosPerMessage: each((run) => run.cpuMicrosPerMessage),
    p50Ms: each((run) => run.latency.p50Ms),
    p99Ms: each((run) => run.latency.p99Ms),
    sentPerSecond: each((run) => run.sentPerSecond),
    kafkaBytesPerMessage: each((run) => run.kafkaBytesPerMessage),
    peakMemoryBytes: each((run) => run.peakMemoryBytes),
  };
}

/** The cost of a message at the dearest point, beside the cheapest; one point is no growth. */
export function growthOf(points: readonly Measured[]): number | undefined {
  const costs = points.map(({ cpuMicrosPerMessage }) => cpuMicrosPerMessage);
  return costs.length < 2 ? undefined : Math.max(...costs) / Math.min(...costs);
}

export interface StudyReport {
  readonly study: Study;
  readonly measured: readonly Measured[];
}
