/** The headers of a dead letter, by name. Values are UTF-8 text. */
export const DEAD_LETTER_HEADERS = {
  /** Stable code of the reason, e.g. DECODE_FAILED. */
  code: 'error.code',
  /** The reason in words. */
  message: 'error.message',
  /** The topic pattern of the route that was taken; absent for a topic that no profile matches. */
  route: 'route',
  /** The device type whose profile was applied; absent for a topic that no profile matches. */
  type: 'device.type',
  topic: 'mqtt.topic',
  clientId: 'mqtt.client.id',
  qos: 'mqtt.qos',
  /** `true` or `false`. */
  retain: 'mqtt.retain',
  /** Milliseconds since 1970-01-01 UTC. */
  receivedAt: 'received.at',
  /** How often the message had been tried when this was written. */
  attempt: 'attempt',
  /**
   * Which readings of the message this dead letter is about, from 0, such as `7` or `0-2,7`. It stands only where
   * the value is the whole payload and holds several readings. It is absent where the whole value is about this
   * dead letter.
   */
  reading: 'reading',
  /**
   * What key and value are. `record`: Kafka refused the finished record, whose own headers are then there too.
   * Absent: the value is the payload as the device sent it.
   */
  holds: 'dead.letter.holds',
  /** With `record`: the Kafka topic that it was for. */
  recordTopic: 'record.topic',
  /** With `record`: the timestamp that it had. Milliseconds since 1970-01-01 UTC. */
  recordTimestamp: 'record.timestamp',
} as const;

/**
 * A header of a record that a dead letter's replay made: `<topic>/<partition>/<offset>/<part>`. It says where the
 * dead letter lies, and which of its records this is, from 0.
 */
export const DEAD_LETTER_ORIGIN = 'dead.letter.origin';
