import { dirname } from 'node:path';
import { z } from 'zod';
import { CONTRACTS, CONTRACT_NAMES, contractsThat } from '../../core/contract.ts';
import {
  fixedTopic,
  OUTPUT_FORMATS,
  OUTPUT_HEADERS,
  type OutputSpec,
} from '../../core/profile/output-spec.ts';
import { FULL_POLICIES, type DeviceProfile } from '../../core/profile/profile.ts';
import {
  boolean,
  choice,
  inProgramTerms,
  integer,
  kafkaTopic,
  list,
  section,
  text,
  textLike,
  type InProgramTerms,
} from '../key.ts';
import { decodeSchema, toDecoder } from './decode-schema.ts';
import {
  filterSchema,
  metricSchema,
  registrySchema,
  sequenceSchema,
  timeSchema,
  toMetric,
  toRegistry,
  toTime,
} from './normalise-schema.ts';

/*
 * The shape of a device profile: one YAML file a device type. Each key is a row, as in sluice.yaml; what the program
 * makes of it has its type in core/profile/.
 */

const FIELD = "a decoded field's path, with dots for nested fields";
const NUMBER = 'a number';
const SHARE = 'a share from 0 to below 1';

/** Of a metric, an attribute, a level, a field. */
const name = text('a name of at least one character');

const number = z.number({ error: NUMBER });

const signal = section({
  base: number
    .default(0)
    .describe('The value that readings move about. For a counter: its average growth in an hour.'),
  amplitude: number
    .default(0)
    .describe('Height of the daily cycle: added at `peak.hour`, taken off twelve hours later.'),
  'peak.hour': number
    .min(0, { error: '0 to 24' })
    .max(24, { error: '0 to 24' })
    .default(15)
    .describe('The hour of the day, in UTC, at which the daily cycle is highest.'),
  noise: number
    .nonnegative({ error: 'a number of 0 or more' })
    .default(0)
    .describe('Standard deviation of the noise from reading to reading.'),
  drift: number
    .nonnegative({ error: 'a number of 0 or more' })
    .default(0)
    .describe('How far the value wanders in an hour; it comes back within a day.'),
  min: number.optional().describe('No reading is lower; a counter begins no lower.'),
  max: number.optional().describe('No reading is higher; a counter stops there.'),
  counter: boolean().default(false).describe('Whether the value only ever grows, as a meter does.'),
  integer: boolean().default(false).describe('Whether readings are whole numbers.'),
  choices: list(
    z.union([z.string(), z.boolean()], { error: 'text, true or false' }),
    'a list of values',
    'at least one value',
  )
    .optional()
    .describe('The field is one of these, for 50 readings on average; the other keys then mean nothing.'),
});

const simulation = section({
  levels: z
    .record(name, list(text('text'), 'a list of values', 'at least one value'), {
      error: 'a map of level names to lists of values',
    })
    .default({})
    .describe(
      'The values of named levels of the topic. A level that is not listed holds the name of the device.',
    ),
  signals: z
    .record(name, signal, { error: 'a map of field paths to signals' })
    .default({})
    .describe(
      'What each field of the payload does: base + daily cycle + drift + noise. The fields of `time`, `sequence` and `device` fill themselves.',
    ),
  dropout: number
    .min(0, { error: SHARE })
    .lt(1, { error: SHARE })
    .default(0)
    .describe('The share of its messages that a device leaves out, several in a row.'),
});

const TOPIC = 'a Kafka topic name, 1 to 245 of the characters a-z A-Z 0-9 . _ -, or a template of one';
const HEADERS = `a list of ${OUTPUT_HEADERS.join(', ')}`;

const topicTemplate = textLike(/^(?!\.{1,2}$)(?:[a-zA-Z0-9._-]|\{[A-Za-z_][A-Za-z0-9_-]*\})+$/, TOPIC).max(
  245,
  { error: TOPIC },
);

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

const outputSchema = section(
  {
    topic: topicTemplate.describe(
      'The Kafka topic. May have topic levels, `{device}` (the device id) and `{type}` in it.',
    ),
    'topics.max': integer(1, 10_000)
      .optional()
      .describe(
        'How many topics the template may name, default 100. Messages for further topics are dead letters.',
      ),
    'dead.letter.topic': kafkaTopic()
      .optional()
      .describe(
        'The Kafka topic for messages that are not understood. Default: the topic + `.dlq`, or the type + `.dlq` if the topic is a template.',
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
    format: choice(OUTPUT_FORMATS)
      .optional()
      .describe(
        'The encoding of the envelope: `protobuf` (default; proto/sluice/v1/telemetry.proto), `json` or `avro` (their schemas stand beside it).',
      ),
    subject: text('a Schema Registry subject, or a template of one, e.g. "{topic}-value"')
      .optional()
      .describe(
        "Registers the envelope's schema under this subject ({topic} is the Kafka topic) and frames each value with its id, as Confluent's deserializers expect. Needs kafka.schema.registry.url.",
      ),
    headers: z
      .array(choice(OUTPUT_HEADERS), { error: HEADERS })
      .optional()
      .describe('The parts of the MQTT message that become headers, e.g. mqtt.qos. Default: [topic].'),
    cloudevents: cloudEvents
      .optional()
      .describe('CloudEvents 1.0 attributes as headers (Kafka binding, binary mode).'),
  },
  'such as { topic: telemetry }',
);

const WITH_JOURNAL = contractsThat(({ needsJournal }) => needsJournal).map((each) => `\`ack: ${each}\``);

export const profileSchema = section({
  type: text("the device type's name")
    .max(255, { error: 'at most 255 characters' })
    .describe('Names the device type in envelopes, headers and metrics.'),
  topic: text('a topic pattern, e.g. fleet/{site}/{device}/telemetry').describe(
    'The MQTT topics of this device type. `{name}` matches one level, `{name:a|b}` one of several, `{name...}` all that is left; `+` and `#` as in MQTT.',
  ),
  stop: boolean()
    .default(false)
    .describe('Whether less specific profiles that match the same topic are left out.'),
  decode: decodeSchema.describe('How payloads are read.'),
  device: text('a template of topic levels, e.g. "{device}", or ' + FIELD).describe(
    'The device id: from the topic, or a field of the payload.',
  ),
  time: timeSchema
    .optional()
    .describe(
      'The event time by the device. Without it, or in a message that has none, it is the time of receipt.',
    ),
  sequence: sequenceSchema
    .optional()
    .describe("The device's own count of its messages: finds missing, repeated and late ones."),
  attributes: z
    .record(name, z.string({ error: 'text, or a template of topic levels, in quotes' }), {
      error: 'a map of names to text',
    })
    .default({})
    .describe(
      'Attributes of the message as a whole in the envelope: constant text, or text with topic levels in it.',
    ),
  metrics: z
    .record(name, metricSchema, { error: 'a map of metric names to { field, unit }' })
    .default({})
    .describe('The metrics that the envelope takes from the payload, in this order.'),
  filter: filterSchema.optional().describe('Which messages of a device are held back, by time.'),
  registry: registrySchema.optional().describe('A list of known devices.'),
  produce: outputSchema.describe('The records that go to Kafka.'),
  ack: choice(CONTRACT_NAMES)
    .default('kafka')
    .describe(`When a device is acknowledged. ${contractsInWords()}.`),
  journal: section({
    'when.full': choice(FULL_POLICIES)
      .optional()
      .describe(
        'What happens when the journal is full: devices of this type wait; or their oldest records are dropped for new ones; or new records are dropped. Dropped records were acknowledged, and are counted. Default: `journal.when.full` in sluice.yaml.',
      ),
  })
    .optional()
    .describe(`What the gateway's journal does for this type; of use with ${WITH_JOURNAL.join(' and ')}.`),
  simulate: simulation.optional().describe('How `sluice fleet` plays such a device.'),
});

function contractsInWords(): string {
  const lines = Object.values(CONTRACTS).map((each) => `\`${each.name}\`: when ${each.acknowledgedWhen}`);
  return lines.join('; ');
}

/** A profile as it is written, with defaults filled in. */
export type ProfileDocument = z.infer<typeof profileSchema>;

type Profile = InProgramTerms<ProfileDocument>;

/** Puts a profile into the program's own terms. `file` is where it stands. */
export function toProfile(document: ProfileDocument, file: string): DeviceProfile {
  const folder = dirname(file);
  const profile = inProgramTerms(profileSchema, document, { file: folder, data: folder });
  const { type, topic, stop, device, time, sequence, filter, registry, journal, simulate, ack } = profile;
  const decode = toDecoder(profile.decode);
  const produce = toOutput(profile.produce, decode.kind === 'raw' ? 'raw' : 'normalised');
  return {
    file,
    type,
    topic,
    ...(stop && { stop }),
    decode,
    device: device.includes('{') ? { template: device } : { field: device },
    ...(time && { time: toTime(time) }),
    ...(sequence && { sequence }),
    attributes: new Map(Object.entries(profile.attributes)),
    metrics: new Map(Object.entries(profile.metrics).map(([name, metric]) => [name, toMetric(metric)])),
    ...(filter && { filter }),
    ...(registry && { registry: toRegistry(registry, `${fixedTopic(produce.topic, type)}.quarantine`) }),
    produce,
    ack: CONTRACTS[ack],
    ...(journal?.whenFull && { whenFull: journal.whenFull }),
    ...(simulate && {
      simulate: {
        ...simulate,
        levels: new Map(Object.entries(simulate.levels)),
        signals: new Map(Object.entries(simulate.signals)),
      },
    }),
  };
}

function toOutput(
  { key, headers, cloudevents, ...produce }: Profile['produce'],
  defaultValue: OutputSpec['value'],
): OutputSpec {
  return {
    ...produce,
    value: produce.value ?? defaultValue,
    ...(key !== undefined && { key: key === 'none' ? null : key }),
    ...(headers && { headers: [...new Set(headers)] }),
    ...(cloudevents && { cloudEvents: cloudevents === true ? {} : cloudevents }),
  };
}
