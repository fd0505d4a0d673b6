import type { Metric } from '../core/metric.ts';
import type { DeviceReport, DeviceTable } from './normalise/device-table.ts';
import type { SequenceCounts } from './normalise/sequence-tracker.ts';
import type { EdgeNodes, SparkplugStats } from './sparkplug/edge-nodes.ts';

/** What is known of a type's devices, for operators. */
export interface TypeReport extends SequenceCounts {
  readonly type: string;
  /** Devices that are remembered now. */
  readonly devices: number;
  readonly quarantined: number;
  readonly worstSequences: readonly DeviceReport[];
  readonly worstClocks: readonly DeviceReport[];
}

/** The devices of all types; `limit` is how many of the worst are named. */
export function reportDevices(tables: readonly DeviceTable[], limit: number): TypeReport[] {
  return tables.map((table) => ({
    type: table.type,
    devices: table.size,
    ...table.totals,
    quarantined: table.quarantined,
    worstSequences: table.worstSequences(limit),
    worstClocks: table.worstClocks(limit),
  }));
}

/** `tables` is asked at each look: profiles are reloaded. */
export function deviceMetrics(tables: () => readonly DeviceTable[]): Metric[] {
  const metric = (
    kind: Metric['kind'],
    name: string,
    help: string,
    read: (table: DeviceTable) => number,
  ): Metric => ({
    name,
    help,
    kind,
    labelNames: ['type'],
    read: () => tables().map((table) => ({ labels: { type: table.type }, value: read(table) })),
  });
  return [
    metric('gauge', 'sluice_devices', 'Devices that are remembered.', (table) => table.size),
    metric(
      'counter',
      'sluice_devices_forgotten_total',
      'Devices that were forgotten because there were too many; they count as new when they come back.',
      (table) => table.forgotten,
    ),
    // A gauge: what comes late is taken off again.
    metric(
      'gauge',
      'sluice_sequence_missing',
      "Numbers of devices' sequences that were skipped and have not come since.",
      (table) => table.totals.missing,
    ),
    metric(
      'counter',
      'sluice_sequence_repeated_total',
      'Messages with a sequence number that was there already.',
      (table) => table.totals.repeated,
    ),
    metric(
      'counter',
      'sluice_sequence_late_total',
      'Messages with a lower sequence number than one before them.',
      (table) => table.totals.late,
    ),
    metric(
      'counter',
      'sluice_sequence_restarts_total',
      'Sequences that began anew.',
      (table) => table.totals.restarts,
    ),
    metric(
      'gauge',
      'sluice_device_clock_skew_max_seconds',
      "The largest difference between a device's clock and the gateway's.",
      (table) => table.largestSkewMs() / 1_000,
    ),
    metric(
      'counter',
      'sluice_quarantined_total',
      'Records of unknown devices that went to the quarantine topic.',
      (table) => table.quarantined,
    ),
  ];
}

/** The edge nodes of one device type. */
export interface TypedEdgeNodes {
  readonly type: string;
  readonly nodes: EdgeNodes;
}

/** `all` is asked at each look: profiles are reloaded. */
export function edgeNodeMetrics(all: () => readonly TypedEdgeNodes[]): Metric[] {
  const metric = (
    kind: Metric['kind'],
    name: string,
    help: string,
    read: (nodes: EdgeNodes) => number,
  ): Metric => ({
    name,
    help,
    kind,
    labelNames: ['type'],
    read: () => all().map(({ type, nodes }) => ({ labels: { type }, value: read(nodes) })),
  });
  const counter = (name: string, help: string, of: keyof SparkplugStats): Metric =>
    metric('counter', `sluice_sparkplug_${name}_total`, help, ({ stats }) => stats[of]);
  return [
    metric('gauge', 'sluice_sparkplug_edge_nodes', 'Edge nodes whose births are known.', ({ size }) => size),
    counter('births', 'Births of edge nodes.', 'births'),
    counter('stale_deaths', 'Deaths that belong to an older connection of their edge node.', 'staleDeaths'),
    counter('sequence_gaps', 'Messages whose sequence number is not the next one.', 'sequenceGaps'),
    counter('without_birth', 'Messages that need a birth that was not seen; dead letters.', 'withoutBirth'),
    counter('rebirth_requests', 'Requests for a birth that were sent to edge nodes.', 'rebirthRequests'),
    counter('forgotten', 'Edge nodes that were forgotten because there were too many.', 'forgotten'),
  ];
}
