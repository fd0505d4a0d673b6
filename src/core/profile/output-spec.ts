/** The parts of the MQTT message that can become headers. */
export const OUTPUT_HEADERS = ['topic', 'qos', 'retain', 'client.id', 'received.at'] as const;
export type OutputHeader = (typeof OUTPUT_HEADERS)[number];

export const OUTPUT_FORMATS = ['protobuf', 'json', 'avro'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Where a profile's records go, and in which form. */
export interface OutputSpec {
  /** A Kafka topic, or a template of one: topic levels, `{device}` (the device's id), `{type}`. */
  readonly topic: string;
  /** How many topics a template may name. */
  readonly topicsMax?: number;
  /** The topic of messages that can't be understood; left out, see {@link deadLetterTopicFor}. */
  readonly deadLetterTopic?: string;
  /** Template of topic levels, `{device}` and `{type}`; left out, the device id; null: no key, any partition. */
  readonly key?: string | null;
  readonly value: 'normalised' | 'raw';
  /** Of normalised values; left out, protobuf. */
  readonly format?: OutputFormat;
  /** The Schema Registry's subject: a template that knows `{topic}`, the Kafka topic; left out, not framed. */
  readonly subject?: string;
  /** Left out, the MQTT topic alone. */
  readonly headers?: readonly OutputHeader[];
  /** More headers, by name: templates of topic levels. */
  readonly levelHeaders?: ReadonlyMap<string, string>;
  /** CloudEvents 1.0 attributes as headers (Kafka protocol binding, binary mode). */
  readonly cloudEvents?: {
    /** Template of topic levels and `{type}`; left out, the MQTT topic as a URI reference. */
    readonly source?: string;
    /** Template as above; left out, `sluice.telemetry.<type>`. */
    readonly type?: string;
  };
}

/** Whether a topic is a template. The topics of a template are known only when messages come. */
export function isTopicTemplate(topic: string): boolean {
  return topic.includes('{');
}

/** The name for a profile's topic where the name must never change. */
export function fixedTopic(topic: string, type: string): string {
  return isTopicTemplate(topic) ? type.replaceAll(/[^a-zA-Z0-9._-]/g, '-') : topic;
}

/** The Kafka topic of messages that could not become a record. */
export function deadLetterTopicFor({ topic, deadLetterTopic }: OutputSpec, type: string): string {
  return deadLetterTopic ?? `${fixedTopic(topic, type)}.dlq`;
}
