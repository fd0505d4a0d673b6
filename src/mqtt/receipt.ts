import type { QoS } from '../core/publication.ts';
import type { LaneContext, LaneOwner } from './lane-context.ts';
import type { InternedTopic } from './topic-table.ts';

/**
 * What happens to a publication at its receipt, whenever the sink gets it: local delivery of buffer[start, end),
 * its payload. Returns whether the sink gets it.
 */
export function receive(
  topic: InternedTopic,
  header: number,
  buffer: Buffer,
  start: number,
  end: number,
  { broker, stats }: LaneContext,
  owner: LaneOwner | undefined,
): boolean {
  if (topic.reserved) {
    // No client may write `$` topics (section 4.7.2), and MQTT 3.1.1 leaves only two ways to say so: to
    // acknowledge and drop, or to close the connection ([MQTT-3.3.5-2]). We acknowledge, like mosquitto and
    // EMQX: no route can match such a topic, so no contract is broken, and a closed connection would take the
    // device's telemetry with it, again and again, as it repeats the message.
    stats.reservedTopicDrops++;
    owner?.reservedTopic(topic.name);
    return false;
  }
  const retain = (header & 1) !== 0;
  if (retain || broker.hasSubscribers(topic)) {
    broker.deliver(topic, buffer.subarray(start, end), ((header >> 1) & 3) as QoS, retain);
  }
  // An empty retained message deletes the retained one ([MQTT-3.3.1-10]); it is no telemetry.
  return !(retain && start === end);
}
