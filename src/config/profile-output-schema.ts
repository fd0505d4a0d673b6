import { z } from 'zod';
import type { OutputSpec } from '../core/profile/output-spec.ts';
import { defined } from './defined.ts';
import { choice, integer, kafkaTopic, section, text } from './schema.ts';

/* What a device profile says about its records: where they go, and in which form. */

const TOPIC = 'a Kafka topic name, 1 to 245 of the characters a-z A-Z 0-9 . _ -, or a template of one';
const HEADERS = ['topic', 'qos', 'retain', 'client.id', 'received.at'] as const;
const HEADERS_TEXT = `a list of ${HEADERS.join(', ')}`;

const topicTemplate = z
  .string({ error: TOPIC })
  .regex(/^(?!\.{1,2}$)(?:[a-zA-Z0-9._-]|\{[A-Za-z_][A-Za-z0-9_-]*\})+$/, { error: TOPIC })
  .max(245, { error: TOPIC });

const CLOUD_EVENTS = 'true, or a map of source, type';
const cloudEvents = z.union(
  [
    z.boolean({ error: CLOUD_EVENTS }),
    section({
      source: text('a URI reference, or a template of one')
        .optional()
        .describe('Template of topic levels and {type}. Default: the MQTT topic as a URI path.'),
      type: text('a name, or a template of one')
        .optional()
        .describe('Template of topic levels and {type}. Default: `sluice.telemetry.{type}`.'),
    }),
  ],
  { error: CLOUD_EVENTS },
);

export const outputSchema = section(
  {
    topic: topicTemplate.describe(
      'The Kafka topic. May have topic levels, `{device}` (the device id) and `{type}` in it.',
    ),
    'topics.max': integer(1, 10_000)
      .optional()
      .describe('How many topics the template may name, default 100; what comes after is a dead letter.'),
    'dead.letter.topic': kafkaTopic()
      .optional()
      .describe(
        'Where messages go that are not understood. Default: the topic + `.dlq`, of a template the type + `.dlq`.',
      ),
    key: text('a template of topic levels, {device} and {type}, or none')
      .optional()
      .describe(
        "The record's key. Default: the device id. `none`: no key; the records spread over all partitions, without order.",
      ),
    value: choice(['normalised', 'raw'])
      .optional()
      .describe(
        '`normalised` (default): the envelope; `raw`: the payload as it came, which `decode: raw` implies.',
      ),
    format: choice(['protobuf', 'json', 'avro'])
      .optional()
      .describe(
        'Of the envelope: `protobuf` (default; proto/sluice/v1/telemetry.proto), `json` or `avro` (their schemas stand beside it).',
      ),
    subject: text('a Schema Registry subject, or a template of one, e.g. "{topic}-value"')
      .optional()
      .describe(
        "Registers the envelope's schema under this subject ({topic} is the Kafka topic) and frames each value with its id, as Confluent's deserializers expect. Needs kafka.schema.registry.url.",
      ),
    headers: z
      .array(choice(HEADERS), { error: HEADERS_TEXT })
      .optional()
      .describe('What of the MQTT message goes along as headers, e.g. mqtt.qos; default: [topic].'),
    cloudevents: cloudEvents
      .optional()
      .describe('CloudEvents 1.0 attributes as headers (Kafka binding, binary mode).'),
  },
  'such as { topic: telemetry }',
);

export function toOutput(
  document: z.infer<typeof outputSchema>,
  defaultValue: 'normalised' | 'raw',
): OutputSpec {
  const { cloudevents, headers } = document;
  return defined({
    topic: document.topic,
    topicsMax: document['topics.max'],
    deadLetterTopic: document['dead.letter.topic'],
    key: document.key === 'none' ? null : document.key,
    value: document.value ?? defaultValue,
    format: document.format,
    subject: document.subject,
    headers: headers && [...new Set(headers)],
    cloudEvents:
      cloudevents === true ? {} : cloudevents === false ? undefined : cloudevents && defined(cloudevents),
  });
}
