import type { Metric } from '../../core/metric.ts';
import type { Lane } from './lane.ts';
import type { StoreAndForward } from './store-and-forward.ts';

/**
 * How records of a lane get to Kafka: `direct`; `spilling`: by way of the disk, and none gets through at present;
 * `draining`: by way of the disk, and they do.
 */
export type LaneState = 'direct' | 'spilling' | 'draining';

export function stateOf(lane: Lane): LaneState {
  if (lane.direct) return 'direct';
  return lane.skippedFrom !== undefined || lane.awaitsRoom ? 'spilling' : 'draining';
}

export function laneMetrics(store: StoreAndForward): readonly Metric[] {
  return [
    {
      name: 'sluice_lanes',
      help: 'Partitions by the way that records of journal contracts take to them: direct, spilling to the disk, draining from it.',
      kind: 'gauge',
      labelNames: ['topic', 'state'],
      read: () => {
        const counts = new Map<string, { labels: { topic: string; state: string }; value: number }>();
        for (const lane of store.lanes()) {
          const labels = { topic: lane.topic, state: stateOf(lane) };
          const key = `${labels.topic} ${labels.state}`;
          const count = counts.get(key) ?? { labels, value: 0 };
          count.value++;
          counts.set(key, count);
        }
        return [...counts.values()];
      },
    },
  ];
}
