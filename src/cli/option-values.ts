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
