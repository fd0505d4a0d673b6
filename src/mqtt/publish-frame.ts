/*
 * A PUBLISH without its fixed header (MQTT 3.1.1 section 3.3): topic with two bytes of length, packet identifier
 * with QoS 1 and 2, payload. Positions are computed and not kept, because a message should not cost an object.
 */

/** What is wrong with its form; undefined if nothing is. The topic's characters are not looked at. */
export function publishFault(header: number, buffer: Buffer, start: number, end: number): string | undefined {
  const qos = (header >> 1) & 3;
  if (qos === 3) return 'PUBLISH with QoS 3 ([MQTT-3.3.1-4])';
  if (qos === 0 && (header & 0x08) !== 0) return 'PUBLISH with QoS 0 and DUP ([MQTT-3.3.1-2])';
  if (start + 2 > end) return 'PUBLISH is cut off';
  const topicEnd = topicEndOf(buffer, start);
  if ((qos === 0 ? topicEnd : topicEnd + 2) > end) return 'PUBLISH is cut off';
  if (qos !== 0 && packetIdAt(buffer, topicEnd) === 0) {
    return 'PUBLISH with packet identifier 0 ([MQTT-2.3.1-1])';
  }
  return undefined;
}

export const topicEndOf = (buffer: Buffer, start: number): number =>
  start + 2 + (((buffer[start] as number) << 8) | (buffer[start + 1] as number));

export const packetIdAt = (buffer: Buffer, at: number): number =>
  ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
