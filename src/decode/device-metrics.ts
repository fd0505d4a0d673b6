import type { Metric } from '../core/metric.ts';
import type { DeviceReport, DeviceTable } from './normalise/device-table.ts';
import type { SequenceCounts } from './normalise/sequence-tracker.ts';
import type { EdgeNodes, SparkplugStats } from './sparkplug/edge-nodes.ts';

/** What is known of a type's devices, for operators. */
interface TypeReport extends SequenceCounts {
  readonly type: string;
  /** Devices that are remembered now. */
  readonly devices: number;
  readonly quarantined: number;
  readonly worstSequences: readonly DeviceReport[];
  readonly worstClocks: readonly DeviceReport[];
}

/** The devices of all types; `limit` is how many of the worst are named. */
export function reportDevices(all: Iterable<RememberedDevices>, limit: number): TypeReport[] {
  return Array.from(all, ({ devices: table }) => ({
    type: table.type,
    devices: table.size,
    ...table.totals,
    quarantined: table.quarantined,
    worstSequences: table.worstSequences(limit),
    worstClocks: table.worstClocks(limit),
  }));
}

/** What is remembered of a profile's devices, and of its edge nodes if it reads Sparkplug B. */
export interface RememberedDevices {
  readonly devices: DeviceTable;
  readonly edgeNodes: EdgeNodes | undefined;
}

type Row<Of> = readonly [kind: Metric['kind'], name: string, help: string, read: (of: Of) => number];

const DEVICES: readonly Row<DeviceTable>[] = [
  ['gauge', 'devices', 'Devices that are remembered.', ({ size }) => size],
  [
    'counter',
    'devices_forgotten_total',
    'Devices that were forgotten because there were too many; they count as new when they come back.',
    ({ forgotten }) => forgotten,
  ],
  // A gauge: what comes late is taken off again.
  [
    'gauge',
    'sequence_missing',
    "Numbers of devices' sequences that were skipped and have not come since.",
    ({ totals }) => totals.missing,
  ],
  [
    'counter',
    'sequence_repeated_total',
    'Messages with a sequence number that was there already.',
    ({ totals }) => totals.repeated,
  ],
  [
    'counter',
    'sequence_late_total',
    'Messages with a lower sequence number than one before them.',
    ({ totals }) => totals.late,
  ],
  ['counter', 'sequence_restarts_total', 'Sequences that began anew.', ({ totals }) => totals.restarts],
  [
    'gauge',
    'device_clock_skew_max_seconds',
    "The largest difference between a device's clock and the gateway's.",
    (table) => table.largestSkewMs() / 1_000,
  ],
  [
    'counter',
    'quarantined_total',
    'Records of unknown devices that went to the quarantine topic.',
    ({ quarantined }) => quarantined,
  ],
];

/** Counters of {@link EdgeNodes}, by their names in its figures. */
const EDGE_NODES: Readonly<Record<keyof SparkplugStats, readonly [name: string, help: string]>> = {
  births: ['births', 'Births of edge nodes.'],
  staleDeaths: ['stale_deaths', 'Deaths that belong to an older connection of their edge node.'],
  sequenceGaps: ['sequence_gaps', 'Messages whose sequence number is not the next one.'],
  withoutBirth: ['without_birth', 'Messages that need a birth that was not seen; dead letters.'],
  rebirthRequests: ['rebirth_requests', 'Requests for a birth that were sent to edge nodes.'],
  forgotten: ['forgotten', 'Edge nodes that were forgotten because there were too many.'],
};

/** `all` is asked at each look: profiles are reloaded. */
export function deviceMetrics(all: () => Iterable<RememberedDevices>): Metric[] {
  const metrics = <Of>(rows: readonly Row<Of>[], of: (each: RememberedDevices) => Of | undefined): Metric[] =>
    rows.map(([kind, name, help, read]) => ({
      name: `sluice_${name}`,
      help,
      kind,
      labelNames: ['type'],
      read: () =>
        [...all()].flatMap((each) => {
          const found = of(each);
          return found === undefined ? [] : [{ labels: { type: each.devices.type }, value: read(found) }];
        }),
    }));
  const edgeNodes: Row<EdgeNodes>[] = [
    ['gauge', 'sparkplug_edge_nodes', 'Edge nodes whose births are known.', ({ size }) => size],
    ...Object.entries(EDGE_NODES).map(([figure, [name, help]]): Row<EdgeNodes> => [
      'counter',
      `sparkplug_${name}_total`,
      help,
      ({ stats }) => stats[figure as keyof SparkplugStats],
    ]),
  ];
  return [...metrics(DEVICES, ({ devices }) => devices), ...metrics(edgeNodes, (each) => each.edgeNodes)];
}
