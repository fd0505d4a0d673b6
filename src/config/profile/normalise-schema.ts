import { z } from 'zod';
import {
  CHECK_POLICIES,
  METRIC_TYPES,
  TIME_UNITS,
  type MetricSpec,
  type RegistrySpec,
  type TimeSpec,
} from '../../core/profile/normaliser-spec.ts';
import {
  choice,
  integer,
  isPlainMap,
  kafkaTopic,
  path,
  section,
  text,
  textLike,
  type InProgramTerms,
} from '../key.ts';

/* What a device profile says about values, times and devices: from decoded fields to telemetry. */

const FIELD = "a decoded field's path, with dots for nested fields";
const UNIT = 'a UCUM unit, in quotes if it is not a word';
const NUMBER = 'a number';
const DAY_MS = 86_400_000;

const number = z.number({ error: NUMBER });

const range = section({
  min: number.optional().describe('The smallest value that is right.'),
  max: number.optional().describe('The largest value that is right.'),
  else: choice(CHECK_POLICIES)
    .default('mark')
    .describe(
      'What happens to a value outside. `reject`: the message becomes a dead letter; `mark`: the value stays, with quality OUT_OF_RANGE; `drop`: the value is left out.',
    ),
});

const DEADBAND = 'a number of 0 or more, or a share in quotes, e.g. "5%"';
const deadband = z.union(
  [z.number({ error: DEADBAND }).nonnegative({ error: DEADBAND }), textLike(/^\d+(\.\d+)?%$/, DEADBAND)],
  { error: DEADBAND },
);

const NAMES = 'a map of whole numbers to names';
const enumNames = z.record(
  z.string().regex(/^-?\d{1,15}$/, { error: 'a whole number' }),
  text('a name of at least one character'),
  { error: NAMES },
);

export const metricSchema = section(
  {
    field: text(FIELD).describe('Where in the payload the value is.'),
    bit: integer(0, 63).optional().describe('Takes this bit of an integer, 0 the lowest, as true or false.'),
    enum: enumNames.optional().describe('Names for numbers. A number without a name becomes its digits.'),
    scale: number.optional().describe('Multiplies the value: value * scale + offset.'),
    offset: number.optional().describe('Added to the value, after `scale`.'),
    from: text(UNIT).optional().describe('The unit in which the device measures; converted to `unit`.'),
    unit: text(UNIT).optional().describe('The unit that consumers get, a UCUM code.'),
    type: choice(METRIC_TYPES)
      .optional()
      .describe(
        'The type that consumers get, whatever the payload has. `integer` rounds; a text must be a number to become one.',
      ),
    range: range.optional().describe('The values that can be right, in `unit`.'),
    required: choice(CHECK_POLICIES)
      .optional()
      .describe(
        'What happens to a message without this metric. `reject`: it becomes a dead letter; `mark`: the metric stands there without a value, with quality MISSING; `drop`: the message is filtered.',
      ),
    deadband: deadband
      .optional()
      .describe(
        'The change that matters, in `unit`, or as a share of the last value. A message in which no metric has changed by more is filtered; metrics without a deadband are not looked at.',
      ),
  },
  'such as { field: temp, unit: Cel }',
);

type Metric = InProgramTerms<z.output<typeof metricSchema>>;

export function toMetric({ enum: names, deadband, ...metric }: Metric): MetricSpec {
  return {
    ...metric,
    ...(names && { enum: new Map(Object.entries(names).map(([key, name]) => [Number(key), name])) }),
    ...(deadband !== undefined && { deadband: toDeadband(deadband) }),
  };
}

function toDeadband(band: number | string): NonNullable<MetricSpec['deadband']> {
  if (typeof band === 'number') return { by: band, relative: false };
  return { by: Number(band.slice(0, -1)) / 100, relative: true };
}

const ZONE = 'an offset from UTC in quotes, e.g. "+01:00"';
const TIME = 'a map of field and either unit or format';

export const timeSchema = section({
  field: text(FIELD).describe('Where in the payload the time is.'),
  unit: choice(TIME_UNITS).optional().describe('For a number: the unit that it counts since 1970-01-01 UTC.'),
  format: text('iso8601, or a pattern of yyyy MM dd HH mm ss SSS Z')
    .optional()
    .describe('For a text: `iso8601`, or a pattern such as `dd.MM.yyyy HH:mm:ss`.'),
  zone: textLike(/^[+-]\d\d:\d\d$/, ZONE)
    .optional()
    .describe('The offset from UTC of texts that name none. Default: UTC.'),
  'behind.ms': integer(0, 3650 * DAY_MS)
    .optional()
    .describe('How far in the past event time may lie; default 7 days. Mind the retention of the topic.'),
  // Kafka refuses the whole batch of a record more than an hour ahead of its own clock (KIP-1030).
  'ahead.ms': integer(0, 3_300_000)
    .optional()
    .describe('How far in the future event time may lie; default 30 minutes. Kafka takes an hour at most.'),
  outside: choice(['receipt', 'correct', 'dead-letter'])
    .optional()
    .describe(
      "What happens to a message whose time lies outside. `receipt` (default): the record's timestamp is the time of receipt; `correct`: it is the device's time, corrected by the error of its clock; `dead-letter`.",
    ),
}).refine(({ unit, format }) => (unit === undefined) !== (format === undefined), { error: TIME });

export function toTime(given: InProgramTerms<z.output<typeof timeSchema>>): TimeSpec {
  const { zone, behindMs = 7 * DAY_MS, aheadMs = 30 * 60_000, ...time } = given;
  const hasWindow = given.behindMs !== undefined || given.aheadMs !== undefined;
  return {
    ...time,
    ...(zone !== undefined && { zoneMinutes: zoneMinutes(zone) }),
    ...(hasWindow && { window: { behindMs, aheadMs } }),
  };
}

function zoneMinutes(zone: string): number {
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return zone.startsWith('-') ? -minutes : minutes;
}

export const sequenceSchema = section({
  field: text(FIELD).describe("Where in the payload the device's count of its messages is."),
  modulo: integer(2, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('Where the count starts over at 0, e.g. 256 for a byte. Without it, never.'),
});

export const filterSchema = section({
  'min.interval.ms': integer(0, 30 * DAY_MS)
    .default(0)
    .describe('A device has at most one message in this time, by event time.'),
  'max.silence.ms': integer(1, 30 * DAY_MS)
    .optional()
    .describe(
      'After this time a message passes although nothing has changed. Without it, never for that reason.',
    ),
});

const column = text('the name of a column');
const COLUMNS = 'a list of columns, or a map of attribute names to columns';

export const registrySchema = section({
  file: path('file', 'path of a CSV or YAML file, relative to this file').describe(
    'The list of devices; read again when it changes.',
  ),
  key: column.default('device').describe('The column with the device id.'),
  attributes: z
    .union([z.array(column, { error: COLUMNS }), z.record(z.string(), column, { error: COLUMNS })], {
      error: COLUMNS,
    })
    .default([])
    .describe(
      'The columns that the envelope gets as attributes of the device: a list, or attribute name -> column.',
    ),
  unknown: choice(['accept', 'quarantine', 'refuse'])
    .default('accept')
    .describe(
      'What happens to messages of devices that are not in the list. `quarantine`: their records go to a topic of their own until the device is registered; `refuse`: the connection is closed.',
    ),
  'quarantine.topic': kafkaTopic().optional().describe('Default: the Kafka topic + `.quarantine`.'),
});

export function toRegistry(
  { attributes, ...registry }: InProgramTerms<z.output<typeof registrySchema>>,
  defaultQuarantine: string,
): RegistrySpec {
  const columns = isPlainMap(attributes)
    ? Object.entries(attributes)
    : attributes.map((name) => [name, name] as const);
  return { quarantineTopic: defaultQuarantine, ...registry, attributes: new Map(columns) };
}
