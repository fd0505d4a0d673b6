/** From the first to the last number, both among them. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

/**
 * Reads what {@link rangesText} writes, such as `0-2,7`.
 * @throws RangeError for any other text
 */
export function parseRanges(text: string): Range[] {
  return (text === '' ? [] : text.split(',')).map((part) => {
    const [, from = '', to = from] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from === '' || last < first) throw new RangeError(`no range of numbers: ${part}`);
    return { first, last };
  });
}

/** As headers and records of state have them, and as a person reads them. */
export function rangesText(ranges: readonly Range[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** The fewest ranges that hold these numbers, which ascend. */
export function rangesOf(numbers: readonly number[]): Range[] {
  const ranges: { first: number; last: number }[] = [];
  for (const number of numbers) {
    const open = ranges.at(-1);
    if (open?.last === number - 1) open.last = number;
    else ranges.push({ first: number, last: number });
  }
  return ranges;
}

export function* numbersOf(ranges: readonly Range[]): Generator<number> {
  for (const { first, last } of ranges) for (let number = first; number <= last; number++) yield number;
}

export function holds(ranges: readonly Range[], number: number): boolean {
  return ranges.some(({ first, last }) => first <= number && number <= last);
}
