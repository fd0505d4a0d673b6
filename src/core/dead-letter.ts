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
   * Which readings of the message this is about, from 0, such as `7` or `0-2,7`, where the value is the whole payload
   * and holds several. Absent where the value is all about this dead letter.
   */
  reading: 'reading',
  /**
   * What key and value are: `record` where Kafka refused the finished record, whose other headers are then there
   * too. Absent where the value is the payload as the device sent it.
   */
  holds: 'dead.letter.holds',
  /** With `record`: the Kafka topic that it was for. */
  recordTopic: 'record.topic',
  /** With `record`: the timestamp that it had. Milliseconds since 1970-01-01 UTC. */
  recordTimestamp: 'record.timestamp',
} as const;

/**
 * A header of a record that came of a dead letter's replay: `<topic>/<partition>/<offset>/<part>`, where the dead
 * letter lies, and which of its records this is, from 0.
 */
export const DEAD_LETTER_ORIGIN = 'dead.letter.origin';
