import type { Metric } from '../../core/metric.ts';
import type { EdgeNodes, SparkplugStats } from './edge-nodes.ts';

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
