import type { KeyFault } from '../../core/fault.ts';
import type { MetricSpec } from '../../core/profile/normaliser-spec.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { Trace } from '../../core/route.ts';
import type { FieldInfo } from '../formats/payload-reader.ts';
import type { DeviceTable } from './device-table.ts';
import { compileTimeFormat, type TimeFormat } from './event-time.ts';
import { MessageFilter } from './message-filter.ts';
import { metricCheck } from './metric-checks.ts';
import { metricStep } from './metric-steps.ts';
import { Normaliser, type MetricPlan, type NormalisedMetric, type NormaliserPlan } from './normaliser.ts';
import { TracedNormaliser } from './traced-normaliser.ts';
import { conversion, type Linear } from './units.ts';

/** The reader's slots of the fields that a profile names. */
export interface FieldSlots {
  readonly time: number | undefined;
  readonly sequence: number | undefined;
  /** In the profile's order. */
  readonly metrics: readonly number[];
  /** How many slots the reader fills; the others are free. */
  readonly count: number;
}

interface CompiledNormaliser {
  readonly normaliser: Normaliser;
  readonly metrics: readonly NormalisedMetric[];
  /** The reader's slots and those of made values. */
  readonly slotCount: number;
}

type Fault = (path: KeyFault['path'], found: string, expected: string) => void;

/**
 * Compiles what a profile says between fields and envelope. Tells every fault to `fault`; with a `trace`, what is
 * compiled will tell what it does.
 */
export function compileNormaliser(
  profile: DeviceProfile,
  slots: FieldSlots,
  infos: readonly FieldInfo[],
  devices: DeviceTable,
  fault: Fault,
  trace?: Trace,
): CompiledNormaliser {
  const { time, sequence } = profile;
  const metrics: MetricPlan[] = [];
  let slotCount = slots.count;
  for (const [name, spec] of profile.metrics) {
    const source = slots.metrics[metrics.length] as number;
    const inMetric: Fault = (path, found, expected) => fault(['metrics', name, ...path], found, expected);
    const metric = compileMetric(name, spec, metrics.length, source, slotCount, infos[source], inMetric);
    if (metric.step !== undefined) slotCount++;
    metrics.push(metric);
  }
  const plan: NormaliserPlan = {
    time: time && { slot: slots.time as number, spec: time, format: timeFormat(profile, fault) },
    sequence: sequence && {
      slot: slots.sequence as number,
      field: sequence.field,
      modulo: sequence.modulo ?? 0,
    },
    metrics,
    filter: messageFilter(profile, metrics, fault),
    devices,
  };
  const normaliser = trace === undefined ? new Normaliser(plan) : new TracedNormaliser(plan, trace);
  return { normaliser, metrics, slotCount };
}

/** `source` is the field's slot, `target` that of what is made of it. */
function compileMetric(
  name: string,
  spec: MetricSpec,
  index: number,
  source: number,
  target: number,
  info: FieldInfo | undefined,
  fault: Fault,
): MetricPlan {
  checkSpec(spec, info, fault);
  const sourceNames = info?.enumNames;
  const slots = { source, target, field: spec.field };
  const step = metricStep(spec, slots, unitConversion(spec, fault), sourceNames);
  const slot = step === undefined ? source : target;
  return {
    name,
    slot,
    unit: spec.unit,
    enumNames: spec.enum ?? (step === undefined ? sourceNames : undefined),
    spec,
    source,
    sourceNames,
    step,
    check: metricCheck(name, slot, index, spec),
  };
}

function messageFilter(
  { filter }: DeviceProfile,
  metrics: readonly MetricPlan[],
  fault: Fault,
): MessageFilter | undefined {
  const deadbands = metrics.flatMap(({ slot, spec: { deadband } }) =>
    deadband === undefined ? [] : [{ slot, ...deadband }],
  );
  if (filter?.minIntervalMs === 0 && deadbands.length === 0) {
    fault(['filter'], 'nothing that is held back', 'min.interval.ms, or a metric with a deadband');
  }
  return filter === undefined && deadbands.length === 0 ? undefined : new MessageFilter(filter, deadbands);
}

/** Keys that make no sense beside each other, and fields that can't be what a key needs. */
function checkSpec(spec: MetricSpec, info: FieldInfo | undefined, fault: Fault): void {
  const exclusive = spec.bit !== undefined ? 'bit' : spec.enum !== undefined ? 'enum' : undefined;
  if (exclusive !== undefined) {
    for (const key of ['enum', 'scale', 'offset', 'from', 'type', 'range'] as const) {
      if (key !== exclusive && spec[key] !== undefined)
        fault([key], 'it', `nothing here beside \`${exclusive}\``);
    }
  }
  if (spec.deadband !== undefined && (spec.type === 'text' || info?.type === 'bytes')) {
    fault(['deadband'], 'a deadband', 'none: the metric is no number');
  }
  const numeric = (['bit', 'enum', 'scale', 'offset', 'from', 'range'] as const).find(
    (key) => spec[key] !== undefined,
  );
  const isText = info?.type === 'string' && spec.type !== 'double' && spec.type !== 'integer';
  if (numeric !== undefined && (isText || info?.type === 'bytes')) {
    fault([numeric], `a field of type ${info.type}`, 'a number, or `type: double` to read it from text');
  }
  if (spec.type !== undefined && info?.type === 'bytes') fault(['type'], 'a field of bytes', 'no type');
  const { min, max } = spec.range ?? {};
  if (min !== undefined && max !== undefined && min > max) {
    fault(['range', 'min'], String(min), `at most max (${max})`);
  }
}

function unitConversion({ from, unit }: MetricSpec, fault: Fault): Linear | undefined {
  if (from === undefined) return undefined;
  if (unit === undefined) {
    fault(['from'], JSON.stringify(from), '`unit` beside it, the unit to convert to');
    return undefined;
  }
  const result = conversion(from, unit);
  if ('linear' in result) return result.linear;
  const { code, expected } = result.problem;
  fault([code === unit ? 'unit' : 'from'], JSON.stringify(code), expected);
  return undefined;
}

function timeFormat({ time }: DeviceProfile, fault: Fault): TimeFormat | undefined {
  if (time?.format === undefined) return undefined;
  const compiled = compileTimeFormat(time.format, time.zoneMinutes ?? 0);
  if ('format' in compiled) return compiled.format;
  fault(['time', 'format'], JSON.stringify(time.format), compiled.problem);
  return undefined;
}
