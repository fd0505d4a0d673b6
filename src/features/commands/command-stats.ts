import type { Metric } from '../../core/metric.ts';
import type { ObstacleCode } from './command.ts';

/** Plain numbers of one command topic. */
export class CommandStats {
  /** Read from Kafka, each offset once in this life of the gateway. */
  received = 0;
  /** Acknowledged by the device. */
  delivered = 0;
  /** In the session store, for the device to come. */
  stored = 0;
  /** Written to the topic of undelivered commands, by reason. */
  readonly undelivered = new Map<ObstacleCode, number>();
  inFlight = 0;
  inFlightBytes = 0;

  countUndelivered(code: ObstacleCode): void {
    this.undelivered.set(code, (this.undelivered.get(code) ?? 0) + 1);
  }
}

/** A command topic, as its figures need it. */
interface Measured {
  readonly topic: string;
  readonly stats: CommandStats;
  readonly lag: number;
}

type Row = readonly [kind: Metric['kind'], name: string, help: string, value: (one: Measured) => number];

const ROWS: readonly Row[] = [
  ['counter', 'received_total', 'Commands read from Kafka.', ({ stats }) => stats.received],
  ['counter', 'delivered_total', 'Commands that their device acknowledged.', ({ stats }) => stats.delivered],
  [
    'counter',
    'stored_total',
    'Commands put into the session store for their device.',
    ({ stats }) => stats.stored,
  ],
  ['gauge', 'in_flight', 'Commands on their way to devices.', ({ stats }) => stats.inFlight],
  ['gauge', 'in_flight_bytes', 'What they hold in memory, roughly.', ({ stats }) => stats.inFlightBytes],
  ['gauge', 'lag', 'Commands that Kafka has and that were not read yet.', ({ lag }) => lag],
];

/** The figures of all command topics; none where there are no such topics. */
export function commandMetrics(topics: readonly Measured[]): Metric[] {
  if (topics.length === 0) return [];
  return [
    ...ROWS.map(([kind, name, help, value]): Metric => ({
      name: `sluice_commands_${name}`,
      help,
      kind,
      labelNames: ['topic'],
      read: () => topics.map((one) => ({ labels: { topic: one.topic }, value: value(one) })),
    })),
    {
      name: 'sluice_commands_undelivered_total',
      help: 'Commands that went to the topic of undelivered commands, by reason.',
      kind: 'counter',
      labelNames: ['topic', 'code'],
      read: () =>
        topics.flatMap(({ topic, stats }) =>
          [...stats.undelivered].map(([code, value]) => ({ labels: { topic, code }, value })),
        ),
    },
  ];
}
