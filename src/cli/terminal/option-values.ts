import { InvalidArgumentError } from 'commander';

/** A whole number of at least `least`, for an option. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`expected a whole number of at least ${least}`);
  };
}

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `30s`, `500ms`, `2m`, `1.5h`, or seconds without a unit; the result is in milliseconds. */
export function duration(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const value = Number(number) * (MS_PER_UNIT[unit || 's'] ?? NaN);
  if (number !== '' && value > 0) return value;
  throw new InvalidArgumentError('expected a duration such as 30s, 500ms, 2m or 1h');
}

/** Messages a second; `max` is 0, which means as fast as possible. */
export function rate(text: string): number {
  if (text === 'max') return 0;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (Number.isFinite(value)) return value;
  throw new InvalidArgumentError('expected messages a second, or max');
}

/** Collects an option that may be given several times, or with commas. */
export function list(text: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), ...text.split(',').filter((part) => part !== '')];
}

/** A moment as milliseconds since 1970-01-01 UTC: `2026-11-23T18:00:00Z`, or how long ago, e.g. `2h`, `3d`. */
export function moment(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(s|m|h|d)$/.exec(text) ?? [];
  if (number !== '')
    return Date.now() - Number(number) * (unit === 'd' ? 86_400_000 : (MS_PER_UNIT[unit] as number));
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
  if (Number.isFinite(ms)) return ms;
  throw new InvalidArgumentError(
    'expected a time such as 2026-11-23T18:00:00Z, or how long ago: 30m, 2h, 3d',
  );
}
