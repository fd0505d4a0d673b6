import type { PhaseResult } from '../load/load.ts';
import type { GatewayFigures } from './gateway-figures.ts';
import { LIVE_CONTRACTS, type LiveTimes } from './live-traffic.ts';

export interface OutageReport {
  /** While Kafka was away: at the first measured message, at the last PUBACK, and what devices saw in between. */
  readonly fillBegin: GatewayFigures;
  readonly fillEnd: GatewayFigures;
  readonly filling: PhaseResult;
  /** Records on the disk when Kafka was back. */
  readonly backlog: number;
  readonly drainBegin: GatewayFigures;
  readonly drainEnd: GatewayFigures;
  readonly before: LiveTimes;
  readonly during: LiveTimes;
  readonly after: LiveTimes;
  /** Of the whole run, oldest first. */
  readonly samples: readonly GatewayFigures[];
  /** Records that the journal took, and those that Kafka has in the end, which are more by those of contract `kafka`. */
  readonly journaled: number;
  readonly inKafka: number;
}

const MIB = 2 ** 20;
/** Rows of the table of memory. */
const MEMORY_ROWS = 8;

/** The report as a terminal shows it. */
export function outageText(report: OutageReport): string {
  return [outageLines(report), memoryLines(report), drainLines(report)]
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

function outageLines({ fillBegin, fillEnd, filling }: OutageReport): string[] {
  const { seconds, records } = stretch(fillBegin, fillEnd);
  const { p50Ms, p99Ms, maxMs } = filling.latency;
  return [
    'Kafka away, journal, QoS 1, every window full',
    `  ${count((filling.acknowledged * 1_000) / filling.elapsedMs)} messages/s, ${count(filling.acknowledged)} acknowledged`,
    `  ${((fillEnd.syncs - fillBegin.syncs) / seconds).toFixed(0)} fsyncs/s, ${((fillEnd.journalBytes - fillBegin.journalBytes) / records).toFixed(0)} journal bytes a message`,
    `  PUBACK p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, max ${maxMs.toFixed(0)} ms`,
    `  ${((fillEnd.cpuMicros - fillBegin.cpuMicros) / records).toFixed(2)} us CPU a message`,
  ];
}

/** Memory while the backlog grew, and by how much it grew with it. */
function memoryLines(report: OutageReport): string[] {
  const growing = growth(report);
  const step = Math.max(1, Math.floor(growing.length / MEMORY_ROWS));
  const rows = growing.filter((_, i) => i % step === 0 || i === growing.length - 1);
  const slope = (of: (figures: GatewayFigures) => number): string =>
    (leastSquaresSlope(growing.map((each) => [each.open / 1e6, of(each) / MIB])) ?? Number.NaN).toFixed(2);
  return [
    'Memory while the backlog grows, MiB',
    `  ${['records', 'journal', 'resident', 'heap', 'buffers'].map((head) => head.padStart(12)).join('')}`,
    ...rows.map(
      ({ open, journalBytes, residentBytes, heapBytes, externalBytes }) =>
        `  ${[count(open), ...[journalBytes, residentBytes, heapBytes, externalBytes].map((bytes) => (bytes / MIB).toFixed(0))].map((cell) => cell.padStart(12)).join('')}`,
    ),
    `  MiB a million records: resident ${slope((each) => each.residentBytes)}, heap ${slope((each) => each.heapBytes)}`,
  ];
}

/** Without the first quarter of the filling, which is the process finding its size. */
function growth({ samples, fillBegin, fillEnd }: OutageReport): readonly GatewayFigures[] {
  const filling = samples.filter(({ atMs }) => atMs >= fillBegin.atMs && atMs <= fillEnd.atMs);
  return filling.slice(Math.floor(filling.length / 4));
}

function drainLines(report: OutageReport): string[] {
  const { backlog, drainBegin, drainEnd, before, during, after, inKafka, journaled } = report;
  const { seconds } = stretch(drainBegin, drainEnd);
  const cells = (name: string, times: LiveTimes): string =>
    `  ${name.padEnd(18)}${LIVE_CONTRACTS.map((contract) => {
      const { p50Ms, p99Ms, maxMs, missed } = times[contract];
      return [p50Ms.toFixed(1), p99Ms.toFixed(1), maxMs.toFixed(0), count(missed)]
        .map((cell) => cell.padStart(8))
        .join('');
    }).join('   ')}`;
  const ratio = (contract: (typeof LIVE_CONTRACTS)[number]): string =>
    (during[contract].p99Ms / before[contract].p99Ms).toFixed(2);
  return [
    `Kafka back: ${count(backlog)} records drained in ${seconds.toFixed(0)} s, ${count(backlog / seconds)} a second beside live traffic`,
    `  ${'live PUBACK, ms'.padEnd(18)}${LIVE_CONTRACTS.map((contract) => contract.padStart(32)).join('   ')}`,
    `  ${''.padEnd(18)}${LIVE_CONTRACTS.map(() => ['p50', 'p99', 'max', 'missed'].map((head) => head.padStart(8)).join('')).join('   ')}`,
    cells('before', before),
    cells('while it drains', during),
    cells('afterwards', after),
    `  p99 while it drains, of normal: ${LIVE_CONTRACTS.map((contract) => `${contract} ${ratio(contract)}x`).join(', ')}`,
    `  the journal took ${count(journaled)} records; Kafka holds ${count(inKafka)}, those of contract kafka among them`,
  ];
}

function stretch(begin: GatewayFigures, end: GatewayFigures): { seconds: number; records: number } {
  return { seconds: (end.atMs - begin.atMs) / 1_000, records: end.journaled - begin.journaled };
}

/** Of the straight line that is nearest to the points; undefined where there is none. */
function leastSquaresSlope(points: readonly (readonly [x: number, y: number])[]): number | undefined {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (points.length < 2 || spread === 0) return undefined;
  return points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
