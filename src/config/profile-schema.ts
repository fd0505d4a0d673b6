import { z } from 'zod';
import type { DeviceProfile, SignalSpec, SimulationSpec } from '../core/profile/profile.ts';
import { fixedTopic } from '../core/profile/output-spec.ts';
import {
  filterSchema,
  metricSchema,
  registrySchema,
  sequenceSchema,
  timeSchema,
  toFilter,
  toMetric,
  toRegistry,
  toSequence,
  toTime,
} from './profile-normalise-schema.ts';
import { outputSchema, toOutput } from './profile-output-schema.ts';
import { decodeSchema, toDecoder } from './profile-decode-schema.ts';
import { choice, section, text } from './schema.ts';

/* The shape of a device profile: one YAML file a device type. */

const FIELD = "a decoded field's path, with dots for nested fields";
const NUMBER = 'a number';
const SHARE = 'a share from 0 to below 1';

/** Of a metric, an attribute, a level, a field. */
const name = text('a name of at least one character');

const number = z.number({ error: NUMBER });

const signal = section({
  base: number
    .default(0)
    .describe('The value that it moves about; of a counter, what it grows by in an hour on average.'),
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
    .describe('Standard deviation of what is random from reading to reading.'),
  drift: number
    .nonnegative({ error: 'a number of 0 or more' })
    .default(0)
    .describe('How far the value wanders in an hour; it comes back within a day.'),
  min: number.optional().describe('No reading is lower; a counter begins no lower.'),
  max: number.optional().describe('No reading is higher; a counter stops there.'),
  counter: z
    .boolean({ error: 'true or false' })
    .default(false)
    .describe('Whether it only ever grows, as a meter does.'),
  integer: z
    .boolean({ error: 'true or false' })
    .default(false)
    .describe('Whether readings are whole numbers.'),
  choices: z
    .array(z.union([z.string(), z.boolean()], { error: 'text, true or false' }), {
      error: 'a list of values',
    })
    .min(1, { error: 'at least one value' })
    .optional()
    .describe('The field is one of these, for 50 readings on average; the other keys then mean nothing.'),
});

const simulation = section({
  levels: z
    .record(
      name,
      z.array(text('text'), { error: 'a list of values' }).min(1, { error: 'at least one value' }),
      { error: 'a map of level names to lists of values' },
    )
    .default({})
    .describe(
      'What stands in named levels of the topic; a level that is not listed holds the name of the device.',
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

export const profileSchema = section({
  type: text("the device type's name")
    .max(255, { error: 'at most 255 characters' })
    .describe('Names the device type in envelopes, headers and metrics.'),
  topic: text('a topic pattern, e.g. fleet/{site}/{device}/telemetry').describe(
    "Which topics are this device type's. `{name}` matches one level, `{name:a|b}` one of several, `{name...}` all that is left; `+` and `#` as in MQTT.",
  ),
  stop: z
    .boolean({ error: 'true or false' })
    .default(false)
    .describe('Whether less specific profiles that match the same topic are left out.'),
  decode: decodeSchema.describe('How payloads are read.'),
  device: text('a template of topic levels, e.g. "{device}", or ' + FIELD).describe(
    'The device id: from the topic, or a field of the payload.',
  ),
  time: timeSchema
    .optional()
    .describe('The event time by the device; without it, or where a message has none, the time of receipt.'),
  sequence: sequenceSchema
    .optional()
    .describe("The device's own count of its messages: finds missing, repeated and late ones."),
  attributes: z
    .record(name, z.string({ error: 'text, or a template of topic levels, in quotes' }), {
      error: 'a map of names to text',
    })
    .default({})
    .describe('What the envelope says of the message as a whole: constant text, or with topic levels in it.'),
  metrics: z
    .record(name, metricSchema, { error: 'a map of metric names to { field, unit }' })
    .default({})
    .describe('What the envelope has of the payload, in this order.'),
  filter: filterSchema.optional().describe('Which messages of a device are held back, by time.'),
  registry: registrySchema.optional().describe('A list of known devices.'),
  produce: outputSchema.describe('The records.'),
  ack: choice(['kafka', 'journal', 'kafka-or-journal', 'receive'])
    .default('kafka')
    .describe(
      "When a device is acknowledged. `kafka`: when Kafka has the record; `journal`: when this gateway's disk has it; `kafka-or-journal`: when Kafka has it or, while Kafka is away or slow, the disk; `receive`: when the message has been read.",
    ),
  journal: section({
    'when.full': choice(['block', 'drop-oldest', 'drop-newest'])
      .optional()
      .describe(
        'When the journal is full: devices of this type wait; or the oldest records of this type are dropped for new ones; or new ones are. What is dropped was acknowledged, and is counted. Without it as `journal.when.full` in sluice.yaml says.',
      ),
  })
    .optional()
    .describe(
      "What the gateway's journal does for this type; of use with `ack: journal` and `ack: kafka-or-journal`.",
    ),
  simulate: simulation.optional().describe('How `sluice fleet` plays such a device.'),
});

/** A profile as it is written, with defaults filled in. */
export type ProfileDocument = z.infer<typeof profileSchema>;

/** Names what the document says in the program's own terms. `file` is where it stands. */
export function toProfile(document: ProfileDocument, file: string): DeviceProfile {
  const decode = toDecoder(document.decode, file);
  const produce = toOutput(document.produce, decode.kind === 'raw' ? 'raw' : 'normalised');
  return {
    file,
    type: document.type,
    topic: document.topic,
    ...(document.stop && { stop: true }),
    decode,
    device: document.device.includes('{') ? { template: document.device } : { field: document.device },
    ...(document.time && { time: toTime(document.time) }),
    ...(document.sequence && { sequence: toSequence(document.sequence) }),
    attributes: new Map(Object.entries(document.attributes)),
    metrics: new Map(Object.entries(document.metrics).map(([name, metric]) => [name, toMetric(metric)])),
    ...(document.filter && { filter: toFilter(document.filter) }),
    ...(document.registry && {
      registry: toRegistry(document.registry, file, `${fixedTopic(produce.topic, document.type)}.quarantine`),
    }),
    produce,
    ack: document.ack,
    ...(document.journal?.['when.full'] && { whenFull: document.journal['when.full'] }),
    ...(document.simulate && { simulate: toSimulation(document.simulate) }),
  };
}

function toSimulation(simulate: NonNullable<ProfileDocument['simulate']>): SimulationSpec {
  return {
    levels: new Map(Object.entries(simulate.levels)),
    signals: new Map(Object.entries(simulate.signals).map(([field, spec]) => [field, toSignal(spec)])),
    dropout: simulate.dropout,
  };
}

function toSignal(spec: z.infer<typeof signal>): SignalSpec {
  const { 'peak.hour': peakHour, min, max, choices, ...rest } = spec;
  return {
    ...rest,
    peakHour,
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(choices && { choices }),
  };
}
