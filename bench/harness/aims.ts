import type { BenchRecord } from './record.ts';
import type { Row } from './summary.ts';
import { growthOf } from './study.ts';
import type { Measured } from './study.ts';
import type { TextTable } from './table.ts';

/** Something that we set out to reach, and what was measured in one and the same run. */
export interface Aim {
  readonly aim: string;
  readonly limit: number;
  /** Undefined while it was not measured. */
  readonly measured: number | undefined;
  readonly unit: string;
  readonly isReached: boolean | undefined;
}

const GROWTH = 1.25;
/** What a link or a linger may add to before a PUBACK is late. */
const FLEET_SLACK_MS = 10;
const LINK_SLACK_MS = 30;
/** Below so many records a batch the price of the batches is stated, and not limited. */
const FULL_BATCH_RECORDS = 100;

export function aimsOf(record: BenchRecord): Aim[] {
  const row = rowFinder(record);
  const ours = (workload: string, value: Row['value'] = 'raw'): Row | undefined =>
    row(workload, 'sluice', value, 'after Kafka');
  const cpu = (mine: Row | undefined, theirs: Row | undefined): number | undefined =>
    mine && theirs && mine.cpuMicrosPerMessage / theirs.cpuMicrosPerMessage;
  const go = (workload: string, value: Row['value'] = 'raw'): Row | undefined =>
    row(workload, 'go: ', value, 'after Kafka');
  const kafkajs = row('saturation', 'aedes + kafkajs, 20 ms batches', 'raw', 'after Kafka');
  const fleet = record.comparisons.find(({ workload }) => workload.name === 'fleet');
  const link = record.comparisons.find(({ workload }) => workload.name === 'edge-link')?.workload;
  const lingerMs = fleet?.workload.lingerMs ?? 0;
  const linkMs = (link?.link?.roundTripMs ?? 0) + (link?.lingerMs ?? 0) + LINK_SLACK_MS;

  return [
    atMost('saturation, raw: CPU beside Go', 1 / 3, cpu(ours('saturation'), go('saturation')), 'x'),
    atMost(
      'saturation, normalised: CPU beside Go',
      1 / 2,
      cpu(ours('saturation', 'normalised'), go('saturation', 'normalised')),
      'x',
    ),
    atMost('saturation, raw: CPU beside aedes + kafkajs', 1 / 10, cpu(ours('saturation'), kafkajs), 'x'),
    atLeast('saturation at QoS 0, raw', 1_000_000, ours('saturation-qos0')?.perSecond, 'messages/s'),
    atMost('fleet, raw: CPU beside the best peer', 2 / 3, cpu(ours('fleet'), bestPeer(fleet?.rows)), 'x'),
    atMost('fleet: PUBACK p99, linger + 10 ms', lingerMs + FLEET_SLACK_MS, ours('fleet')?.p99Ms, 'ms'),
    atMost('fleet: resident memory at most', 120, mebibytes(ours('fleet')), 'MB'),
    atMost('edge-link: PUBACK p99, RTT + linger + 30 ms', linkMs, ours('edge-link')?.p99Ms, 'ms'),
    ...growthAims(record),
  ];
}

/** Of our own points; what stands beside them is in the study. */
function growthAims({ studies }: BenchRecord): Aim[] {
  return ['devices', 'routes', 'partitions'].map((name) => {
    const points = (studies.find(({ study }) => study.name === name)?.measured ?? []).filter(
      ({ beside }) => beside === undefined,
    );
    const full = name === 'partitions' ? points.filter(isFull) : points;
    const [first] = full;
    const last = full.at(-1);
    const span = first && last && first !== last ? ` from ${figure(first)} to ${figure(last)}` : '';
    const where = name === 'partitions' ? ', while a batch holds 100 records' : '';
    return atMost(`growth${span} ${name}${where}: CPU, dearest to cheapest`, GROWTH, growthOf(full), 'x');
  });
}

function isFull({ recordsPerBatch = 0 }: Measured): boolean {
  return recordsPerBatch >= FULL_BATCH_RECORDS;
}

/** Of those that keep the same promise with the same value. */
function bestPeer(rows: readonly Row[] = []): Row | undefined {
  return rows
    .filter(
      ({ name, value, acknowledges }) =>
        !name.startsWith('sluice') && value === 'raw' && acknowledges === 'after Kafka',
    )
    .toSorted((a, b) => a.cpuMicrosPerMessage - b.cpuMicrosPerMessage)[0];
}

function rowFinder({ comparisons }: BenchRecord) {
  return (workload: string, name: string, value: Row['value'], acknowledges: string): Row | undefined =>
    comparisons
      .find((part) => part.workload.name === workload)
      ?.rows.find(
        (row) => row.name.startsWith(name) && row.value === value && row.acknowledges === acknowledges,
      );
}

function mebibytes(row: Row | undefined): number | undefined {
  return row && row.peakMemoryBytes / 2 ** 20;
}

function atMost(aim: string, limit: number, measured: number | undefined, unit: string): Aim {
  return { aim, limit, measured, unit, isReached: measured === undefined ? undefined : measured <= limit };
}

function atLeast(aim: string, limit: number, measured: number | undefined, unit: string): Aim {
  return { aim, limit, measured, unit, isReached: measured === undefined ? undefined : measured >= limit };
}

function figure({ x }: Measured): string {
  return x.toLocaleString('en-US');
}

export function tableOfAims(aims: readonly Aim[]): TextTable {
  return {
    head: ['aim', 'reached', 'limit', 'measured'],
    rows: aims.map(({ aim, limit, measured, unit, isReached }) => [
      aim,
      isReached === undefined ? 'not measured' : isReached ? 'yes' : 'no',
      amount(limit, unit),
      measured === undefined ? '' : amount(measured, unit),
    ]),
    wordColumns: 2,
  };
}

function amount(value: number, unit: string): string {
  if (unit === 'x') return `${value.toFixed(2)}x`;
  return `${value >= 1_000 ? Math.round(value).toLocaleString('en-US') : value.toFixed(0)} ${unit}`;
}
