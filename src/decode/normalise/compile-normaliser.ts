import type { KeyFault } from '../../core/fault.ts';
import type { MetricSpec } from '../../core/profile/normaliser-spec.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { Trace } from '../../core/route.ts';
import type { FieldInfo } from '../formats/payload-reader.ts';
import type { DeviceTable } from './device-table.ts';
import { MessageFilter, type Deadband } from './message-filter.ts';
import { MetricCheck, type Check } from './metric-checks.ts';
import { metricStep, type MetricStep } from './metric-steps.ts';
import { Normaliser, type NormaliserPlan } from './normaliser.ts';
import { TracedCheck, TracedFilter, TracedNormaliser, TracedStep } from './traced-normaliser.ts';
import { compileTimeFormat, type TimeFormat } from './event-time.ts';
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

/** A metric of the envelope. */
export interface NormalisedMetric {
  readonly slot: number;
  readonly name: string;
  readonly unit: string | undefined;
  readonly enumNames: ReadonlyMap<number, string> | undefined;
}

export interface CompiledNormaliser {
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
  const steps: MetricStep[] = [];
  const checks: Check[] = [];
  const deadbands: Deadband[] = [];
  const metrics: NormalisedMetric[] = [];
  let slotCount = slots.count;
  for (const [index, [name, spec]] of [...profile.metrics].entries()) {
    const source = slots.metrics[index] as number;
    const info = infos[source];
    const inMetric: Fault = (path, found, expected) => {
      fault(['metrics', name, ...path], found, expected);
    };
    checkSpec(spec, info, inMetric);
    const target = { source, target: slotCount, field: spec.field };
    const step = metricStep(spec, target, unitConversion(spec, inMetric), info?.enumNames);
    if (trace !== undefined) steps.push(new TracedStep(step, name, spec, target, info?.enumNames, trace));
    else if (step !== undefined) steps.push(step);
    if (step !== undefined) slotCount++;
    const slot = step === undefined ? source : target.target;
    const check = MetricCheck.of(name, slot, index, spec);
    if (check !== undefined) {
      checks.push(trace === undefined ? check : new TracedCheck(check, name, spec, slot, index, trace));
    }
    if (spec.deadband !== undefined) deadbands.push({ slot, ...spec.deadband });
    const isNumber = step !== undefined || spec.type === 'integer';
    metrics.push({
      slot,
      name,
      unit: spec.unit,
      enumNames: spec.enum ?? (isNumber ? undefined : info?.enumNames),
    });
  }
  const filter =
    profile.filter === undefined && deadbands.length === 0
      ? undefined
      : trace === undefined
        ? new MessageFilter(profile.filter, deadbands)
        : new TracedFilter(profile.filter, deadbands, trace);
  if (profile.filter?.minIntervalMs === 0 && deadbands.length === 0) {
    fault(['filter'], 'nothing that is held back', 'min.interval.ms, or a metric with a deadband');
  }
  const plan: NormaliserPlan = {
    time: time && { slot: slots.time as number, spec: time, format: timeFormat(profile, fault) },
    sequence: sequence && {
      slot: slots.sequence as number,
      field: sequence.field,
      modulo: sequence.modulo ?? 0,
    },
    steps,
    checks,
    filter,
    metricCount: metrics.length,
    devices,
  };
  const normaliser = trace === undefined ? new Normaliser(plan) : new TracedNormaliser(plan, trace);
  return { normaliser, metrics, slotCount };
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
