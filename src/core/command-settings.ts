/** One Kafka topic whose records are commands to devices. */
export interface CommandSettings {
  /** The Kafka topic. */
  readonly topic: string;
  /** The consumer group: one for all gateways that may read the topic, so that a second one is noticed. */
  readonly group: string;
  /** The header that names the device; undefined: the record's key does. */
  readonly deviceHeader: string | undefined;
  /** Templates of `{device}` and `{correlation}`: the MQTT topic that the device has subscribed to. */
  readonly mqttTopic: string;
  /** Template of `{device}`: the MQTT client id of the device. */
  readonly clientId: string;
  /** The header that tells commands apart and that replies carry again. */
  readonly correlationHeader: string;
  /** How long a command lives after its record's timestamp; undefined: for ever. */
  readonly expiryMs: number | undefined;
  /** The header that says so for one record, in milliseconds. */
  readonly expiryHeader: string;
  /** The Kafka topic of commands that did not reach their device. */
  readonly undeliveredTopic: string;
  /** How long a command may wait for its PUBACK, or for the session store. */
  readonly ackTimeoutMs: number;
  /** Commands of a partition that may be on their way at once. */
  readonly maxInFlight: number;
  /** How many of them may be one device's. */
  readonly maxInFlightPerDevice: number;
  /** Bytes of all commands on their way, of all partitions. */
  readonly maxInFlightBytes: number;
}
