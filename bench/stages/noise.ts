/** How sure one has to be, and how far apart two medians, before a stage is said to have moved. */
const LEAST_SIGNIFICANCE = 0.01;
const LEAST_CHANGE = 0.03;

export interface Verdict {
  /** The second median as a share of the first, less one: 0.1 is 10 % slower. */
  readonly change: number;
  /** How likely two samples of the same thing would be as far apart (Mann-Whitney U, two-sided, exact). */
  readonly significance: number;
  readonly moved: boolean;
}

/** Whether a stage's times moved beyond noise. Each sample has at least one value. */
export function verdict(before: readonly number[], after: readonly number[]): Verdict {
  const change = median(after) / median(before) - 1;
  const significance = mannWhitney(before, after);
  return {
    change,
    significance,
    moved: significance < LEAST_SIGNIFICANCE && Math.abs(change) >= LEAST_CHANGE,
  };
}

/** How far apart the middle half of the values lies, as a share of their median. At least one value. */
export function scatter(values: readonly number[]): number {
  const sorted = values.toSorted((x, y) => x - y);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  return (at(0.75) - at(0.25)) / median(values);
}

/** The exact two-sided p of the U statistic: the share of all orders of the values that are as lopsided. */
function mannWhitney(a: readonly number[], b: readonly number[]): number {
  let u = 0;
  for (const x of a) for (const y of b) u += x < y ? 1 : x === y ? 0.5 : 0;
  const extreme = Math.min(u, a.length * b.length - u);
  const ways = waysByU(a.length, b.length);
  const total = ways.reduce((sum, count) => sum + count, 0);
  const tail = ways.reduce((sum, count, value) => (value <= extreme ? sum + count : sum), 0);
  return Math.min(1, (2 * tail) / total);
}

/** In how many orders of `m` and `n` values U is 0, 1, ...: w(m, n, u) = w(m-1, n, u-n) + w(m, n-1, u). */
function waysByU(m: number, n: number): number[] {
  let rows = Array.from({ length: n + 1 }, () => [1]);
  for (let i = 1; i <= m; i++) {
    const next: number[][] = [[1]];
    for (let j = 1; j <= n; j++) {
      const shifted = rows[j] ?? [];
      const beside = next[j - 1] ?? [];
      next.push(Array.from({ length: i * j + 1 }, (_, u) => (shifted[u - j] ?? 0) + (beside[u] ?? 0)));
    }
    rows = next;
  }
  return rows[n] ?? [1];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((x, y) => x - y);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
