import { z } from 'zod';
import type { DeviceProfile, SignalSpec, SimulationSpec } from '../core/profile.ts';
import { decodeSchema, toDecoder } from './profile-decode-schema.ts';
import { choice, kafkaTopic, section, text } from './schema.ts';

/* The shape of a device profile: one YAML file a device type. */

const FIELD = "a decoded field's path, with dots for nested fields";
const NUMBER = 'a number';
const SHARE = 'a share from 0 to below 1';

/** Of a metric, an attribute, a level, a field. */
const name = text('a name of at least one character');

const number = z.number({ error: NUMBER });

const signal = section({
  base: number.default(0),
  amplitude: number.default(0),
  'peak.hour': number.min(0, { error: '0 to 24' }).max(24, { error: '0 to 24' }).default(15),
  noise: number.nonnegative({ error: 'a number of 0 or more' }).default(0),
  drift: number.nonnegative({ error: 'a number of 0 or more' }).default(0),
  min: number.optional(),
  max: number.optional(),
  counter: z.boolean({ error: 'true or false' }).default(false),
  integer: z.boolean({ error: 'true or false' }).default(false),
  choices: z
    .array(z.union([z.string(), z.boolean()], { error: 'text, true or false' }), {
      error: 'a list of values',
    })
    .min(1, { error: 'at least one value' })
    .optional(),
});

const simulation = section({
  levels: z
    .record(
      name,
      z.array(text('text'), { error: 'a list of values' }).min(1, { error: 'at least one value' }),
      { error: 'a map of level names to lists of values' },
    )
    .default({}),
  signals: z.record(name, signal, { error: 'a map of field paths to signals' }).default({}),
  dropout: number.min(0, { error: SHARE }).lt(1, { error: SHARE }).default(0),
});

export const profileSchema = section({
  type: text("the device type's name").max(255, { error: 'at most 255 characters' }),
  topic: text('a topic pattern, e.g. fleet/{site}/{device}/telemetry'),
  stop: z.boolean({ error: 'true or false' }).default(false),
  decode: decodeSchema,
  device: text('a template of topic levels, e.g. "{device}", or ' + FIELD),
  time: section({ field: text(FIELD), unit: choice(['s', 'ms', 'us', 'ns']) }).optional(),
  sequence: section({ field: text(FIELD) }).optional(),
  attributes: z
    .record(name, z.string({ error: 'text, or a template of topic levels, in quotes' }), {
      error: 'a map of names to text',
    })
    .default({}),
  metrics: z
    .record(
      name,
      section({ field: text(FIELD), unit: text('a UCUM unit, in quotes if it is not a word').optional() }),
      { error: 'a map of metric names to { field, unit }' },
    )
    .default({}),
  produce: section({
    topic: kafkaTopic(),
    key: text('a template of topic levels and {device}').optional(),
    value: choice(['normalised', 'raw']).optional(),
  }),
  ack: choice(['kafka', 'receive']).default('kafka'),
  simulate: simulation.optional(),
});

/** A profile as it is written, with defaults filled in. */
export type ProfileDocument = z.infer<typeof profileSchema>;

/** Names what the document says in the program's own terms. `file` is where it stands. */
export function toProfile(document: ProfileDocument, file: string): DeviceProfile {
  const decode = toDecoder(document.decode, file);
  return {
    file,
    type: document.type,
    topic: document.topic,
    ...(document.stop && { stop: true }),
    decode,
    device: document.device.includes('{') ? { template: document.device } : { field: document.device },
    ...(document.time && { time: document.time }),
    ...(document.sequence && { sequence: document.sequence }),
    attributes: new Map(Object.entries(document.attributes)),
    metrics: new Map(
      Object.entries(document.metrics).map(([name, { field, unit }]) => [
        name,
        unit === undefined ? { field } : { field, unit },
      ]),
    ),
    produce: {
      topic: document.produce.topic,
      ...(document.produce.key !== undefined && { key: document.produce.key }),
      value: document.produce.value ?? (decode.kind === 'raw' ? 'raw' : 'normalised'),
    },
    ack: document.ack,
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
