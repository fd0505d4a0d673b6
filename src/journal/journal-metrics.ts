import type { Metric } from '../core/metric.ts';
import type { Journal } from './journal.ts';

/** The journal's figures for operators. */
export function journalMetrics(journal: Journal): readonly Metric[] {
  const { stats, rates, settings } = journal;
  const counter = (name: string, help: string, read: Metric['read']): Metric => ({
    name: `sluice_journal_${name}`,
    help,
    kind: 'counter',
    read,
  });
  const gauge = (name: string, help: string, read: () => number): Metric => ({
    name: `sluice_journal_${name}`,
    help,
    kind: 'gauge',
    read,
  });
  return [
    counter('records_total', 'Records made durable on disk.', () => stats.journaledRecords),
    counter('bytes_total', 'Bytes of records made durable on disk.', () => stats.journaledBytes),
    counter(
      'acknowledged_records_total',
      'Journaled records that are done.',
      () => stats.acknowledgedRecords,
    ),
    counter('commits_total', 'Group commits.', () => stats.commits),
    counter('syncs_total', 'Calls of fdatasync for commits.', () => stats.syncs),
    counter('commit_faults_total', 'Commits that met a disk fault.', () => stats.commitFaults),
    counter('damages_total', 'Stretches of damaged bytes found.', () => stats.damages),
    counter('lost_records_total', 'Acknowledged records that damage took.', () => stats.lostRecords),
    counter('compactions_total', 'Segments compacted.', () => stats.compactions),
    {
      ...counter('dropped_records_total', 'Acknowledged records dropped by policy.', () =>
        [...stats.dropped.values()].map(({ topic, account, records }) => ({
          labels: { topic, type: account },
          value: records,
        })),
      ),
      labelNames: ['topic', 'type'],
    },
    gauge('open_records', 'Records on disk that are not done.', () => journal.backlog.openRecords),
    gauge('pending_records', 'Records on their way to the disk.', () => journal.backlog.pendingRecords),
    gauge('used_bytes', 'Bytes that the segments take.', () => journal.backlog.usedBytes),
    gauge('limit_bytes', 'Bytes that the segments may take.', () => settings.maxBytes),
    gauge('waiting', 'Callers that wait for room.', () => journal.waiting),
    gauge('in_records_per_second', 'Records journaled a second, smoothed.', () => rates.inPerSecond),
    gauge('out_records_per_second', 'Records done a second, smoothed.', () => rates.outPerSecond),
    gauge('seconds_to_full', 'Until the limit is reached; NaN while the journal does not grow.', () => {
      return journal.secondsToFull ?? Number.NaN;
    }),
    gauge('seconds_to_drain', 'Until nothing is open; NaN while that does not come nearer.', () => {
      return journal.secondsToDrain ?? Number.NaN;
    }),
    gauge('healthy', '1 while records are durable as they should be.', () =>
      journal.health.state === 'ok' ? 1 : 0,
    ),
  ];
}
