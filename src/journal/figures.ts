import type { Metric } from '../core/metric.ts';
import type { DiskFault } from './disk/disk-port.ts';

/** Running totals since the start. Plain numbers: counting must not cost the hot path anything. */
export class JournalStats {
  /** Records made durable, and the bytes of their frames. */
  journaledRecords = 0;
  journaledBytes = 0;
  /** Records that are done: acknowledged by whoever sent them on. */
  acknowledgedRecords = 0;
  commits = 0;
  syncs = 0;
  /** Commits that no directory took, and that were tried again. */
  commitFaults = 0;
  /** Records that damage took. */
  lostRecords = 0;
  damages = 0;
  compactions = 0;
  /** By policy, by Kafka topic and account. */
  readonly dropped = new Map<string, { readonly topic: string; readonly account: string; records: number }>();

  drop(topic: string, account: string, records: number): void {
    const key = `${topic}\0${account}`;
    const entry = this.dropped.get(key);
    if (entry === undefined) this.dropped.set(key, { topic, account, records });
    else entry.records += records;
  }

  get droppedRecords(): number {
    let records = 0;
    for (const entry of this.dropped.values()) records += entry.records;
    return records;
  }
}

/** How far back the rates look: a time constant, in milliseconds. */
const MEMORY_MS = 30_000;

/** Rates of what flows in and out, smoothed; and what follows from them. */
export class FlowRates {
  /** Records a second. */
  inPerSecond = 0;
  outPerSecond = 0;
  /** Bytes a second; negative while the journal shrinks. */
  growthPerSecond = 0;
  #last: FlowSample | undefined;

  sample(sample: FlowSample): void {
    const last = this.#last;
    this.#last = sample;
    if (last === undefined) return;
    const elapsedMs = sample.atMs - last.atMs;
    if (elapsedMs <= 0) return;
    const weight = 1 - Math.exp(-elapsedMs / MEMORY_MS);
    const perSecond = 1000 / elapsedMs;
    this.inPerSecond += weight * ((sample.inRecords - last.inRecords) * perSecond - this.inPerSecond);
    this.outPerSecond += weight * ((sample.outRecords - last.outRecords) * perSecond - this.outPerSecond);
    this.growthPerSecond += weight * ((sample.usedBytes - last.usedBytes) * perSecond - this.growthPerSecond);
  }

  /** Seconds until `freeBytes` are used up at the present growth; undefined while it doesn't grow. */
  secondsToFull(freeBytes: number): number | undefined {
    return this.growthPerSecond > 0 ? Math.max(0, freeBytes) / this.growthPerSecond : undefined;
  }

  /** Seconds until `openRecords` are done at the present rates; undefined while they don't get fewer. */
  secondsToDrain(openRecords: number): number | undefined {
    if (openRecords === 0) return 0;
    const net = this.outPerSecond - this.inPerSecond;
    return net > 0 ? openRecords / net : undefined;
  }
}

export interface FlowSample {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  /** Totals since the start. */
  readonly inRecords: number;
  readonly outRecords: number;
  readonly usedBytes: number;
}

/**
 * - `ok`: records are durable within the commit interval.
 * - `degraded`: they are, but a directory does not work and another stands in, or checkpoints can't be written.
 * - `full`: `maxBytes` are used; the policy decides what happens to new records.
 * - `stalled`: the disk has not answered for longer than it should.
 * - `faulty`: no directory takes records at present; it is tried again and again.
 * - `lost`: the disk thread died; only a restart helps.
 */
export type JournalState = 'ok' | 'degraded' | 'full' | 'stalled' | 'faulty' | 'lost' | 'closed';

export interface JournalHealth {
  readonly state: JournalState;
  /** For a person: what is wrong, and where. */
  readonly reason?: string;
  /** The operating system's code, where a disk failed. */
  readonly code?: string;
}

export function describeFault({ code, directory, message }: DiskFault): string {
  const advice = ADVICE[code];
  return `${directory}: ${message}${advice === undefined ? '' : `; ${advice}`}`;
}

const ADVICE: Partial<Record<string, string>> = {
  ENOSPC: 'free some space on this disk',
  EDQUOT: 'raise the quota, or free some space',
  EROFS: 'the file system is read-only: look at the kernel log, and mount it for writing again',
  EIO: 'the disk reports errors: look at the kernel log',
  EACCES: 'give the gateway the right to write here',
};

/** Records on the disk that are not done, and records on their way to it. */
export interface Backlog {
  readonly openRecords: number;
  readonly pendingRecords: number;
  readonly usedBytes: number;
}

/** A journal, as whoever measures it sees it. */
export interface MeasuredJournal {
  readonly stats: JournalStats;
  readonly rates: FlowRates;
  readonly backlog: Backlog;
  /** Callers that wait for room. */
  readonly waiting: number;
  readonly settings: { readonly maxBytes: number };
  readonly health: JournalHealth;
}

/** A name that ends with _total is a counter's; the others are gauges. */
type Row = readonly [name: string, help: string, read: (journal: MeasuredJournal) => number];

const ROWS: readonly Row[] = [
  ['records_total', 'Records made durable on disk.', ({ stats }) => stats.journaledRecords],
  ['bytes_total', 'Bytes of records made durable on disk.', ({ stats }) => stats.journaledBytes],
  [
    'acknowledged_records_total',
    'Journaled records that are done.',
    ({ stats }) => stats.acknowledgedRecords,
  ],
  ['commits_total', 'Group commits.', ({ stats }) => stats.commits],
  ['syncs_total', 'Calls of fdatasync for commits.', ({ stats }) => stats.syncs],
  ['commit_faults_total', 'Commits that met a disk fault.', ({ stats }) => stats.commitFaults],
  ['damages_total', 'Stretches of damaged bytes found.', ({ stats }) => stats.damages],
  ['lost_records_total', 'Acknowledged records that damage took.', ({ stats }) => stats.lostRecords],
  ['compactions_total', 'Segments compacted.', ({ stats }) => stats.compactions],
  ['open_records', 'Records on disk that are not done.', ({ backlog }) => backlog.openRecords],
  ['pending_records', 'Records on their way to the disk.', ({ backlog }) => backlog.pendingRecords],
  ['used_bytes', 'Bytes that the segments take.', ({ backlog }) => backlog.usedBytes],
  ['limit_bytes', 'Bytes that the segments may take.', ({ settings }) => settings.maxBytes],
  ['waiting', 'Callers that wait for room.', ({ waiting }) => waiting],
  ['in_records_per_second', 'Records journaled a second, smoothed.', ({ rates }) => rates.inPerSecond],
  ['out_records_per_second', 'Records done a second, smoothed.', ({ rates }) => rates.outPerSecond],
  [
    'seconds_to_full',
    'Until the limit is reached; NaN while the journal does not grow.',
    ({ rates, settings, backlog }) =>
      rates.secondsToFull(settings.maxBytes - backlog.usedBytes) ?? Number.NaN,
  ],
  [
    'seconds_to_drain',
    'Until nothing is open; NaN while that does not come nearer.',
    ({ rates, backlog }) => rates.secondsToDrain(backlog.openRecords) ?? Number.NaN,
  ],
  [
    'healthy',
    '1 while records are durable as they should be.',
    ({ health }) => Number(health.state === 'ok'),
  ],
];

/** The journal's figures for operators. */
export function journalMetrics(journal: MeasuredJournal): readonly Metric[] {
  const metrics: Metric[] = ROWS.map(([name, help, read]) => ({
    name: `sluice_journal_${name}`,
    help,
    kind: name.endsWith('_total') ? 'counter' : 'gauge',
    read: () => read(journal),
  }));
  metrics.push({
    name: 'sluice_journal_dropped_records_total',
    help: 'Acknowledged records dropped by policy.',
    kind: 'counter',
    labelNames: ['topic', 'type'],
    read: () =>
      [...journal.stats.dropped.values()].map(({ topic, account, records }) => ({
        labels: { topic, type: account },
        value: records,
      })),
  });
  return metrics;
}
