import { escapeHtml, figure, figureElement, niceTop, px } from '../../src/testbed/drill/report/html-page.ts';

/*
 * Static SVG charts for the pages of the benchmarks: colours come from the page's style sheet (`.series-0`, ...),
 * so that they follow its dark mode.
 */

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Least and most of what was measured. */
  readonly range?: readonly [number, number];
  /** The one that the others are compared with. */
  readonly isOurs: boolean;
}

const BAR_HEIGHT = 22;
const LABEL_WIDTH = 360;
const CHART_WIDTH = 960;
const VALUE_WIDTH = 90;

/** Horizontal bars from 0, with their values. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ value, range }) => range?.[1] ?? value), Number.MIN_VALUE);
  const scale = (CHART_WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most;
  const rows = bars.map(({ label, value, range, isOurs }, i) => {
    const y = i * BAR_HEIGHT;
    const middle = y + BAR_HEIGHT / 2;
    const end = LABEL_WIDTH + value * scale;
    const whisker =
      range === undefined
        ? ''
        : `<line class="whisker" x1="${px(LABEL_WIDTH + range[0] * scale)}" x2="${px(LABEL_WIDTH + range[1] * scale)}" y1="${middle}" y2="${middle}"/>`;
    const textAt = LABEL_WIDTH + Math.max(value, range?.[1] ?? 0) * scale + 6;
    return [
      `<text class="label" x="${LABEL_WIDTH - 8}" y="${middle}">${escapeHtml(label)}</text>`,
      `<rect class="${isOurs ? 'ours' : 'other'}" x="${LABEL_WIDTH}" y="${y + 3}" width="${px(end - LABEL_WIDTH)}" height="${BAR_HEIGHT - 6}"/>`,
      whisker,
      `<text class="value" x="${px(textAt)}" y="${middle}">${figure(value)}</text>`,
    ].join('');
  });
  return figureElement(`${title}, ${unit}`, CHART_WIDTH, bars.length * BAR_HEIGHT, rows.join('\n'));
}

export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LineChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Where x grows by factors rather than by steps. */
  readonly logarithmicX: boolean;
}

const PLOT = { left: 70, right: 210, top: 12, bottom: 44, width: 760, height: 300 };
const TICKS = 5;

/** Lines over a common x, y from 0. */
export function lineChart(
  { title, xLabel, yLabel, logarithmicX }: LineChartOptions,
  lines: readonly Line[],
): string {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const top = niceTop(Math.max(...lines.flatMap(({ points }) => points.map(([, y]) => y)), Number.MIN_VALUE));
  // An x of 0 has no logarithm; one is added to all.
  const along = (x: number): number => (logarithmicX ? Math.log(x + 1) : x);
  const first = along(xs[0] ?? 0);
  const span = along(xs.at(-1) ?? 1) - first || 1;
  const right = PLOT.width - PLOT.right;
  const bottom = PLOT.height - PLOT.bottom;
  const xAt = (x: number): number => PLOT.left + ((along(x) - first) / span) * (right - PLOT.left);
  const yAt = (y: number): number => bottom - (y / top) * (bottom - PLOT.top);

  const grid = Array.from({ length: TICKS + 1 }, (_, i) => {
    const value = (top * i) / TICKS;
    const y = px(yAt(value));
    return (
      `<line class="grid" x1="${PLOT.left}" x2="${right}" y1="${y}" y2="${y}"/>` +
      `<text class="label" x="${PLOT.left - 8}" y="${y}">${figure(value)}</text>`
    );
  });
  const ticks = xs.map(
    (x) => `<text class="tick" x="${px(xAt(x))}" y="${bottom + 18}">${x.toLocaleString('en-US')}</text>`,
  );
  const drawn = lines.map(({ label, points }, i) => {
    const path = points.map(([x, y]) => `${px(xAt(x))},${px(yAt(y))}`).join(' ');
    const dots = points.map(([x, y]) => `<circle cx="${px(xAt(x))}" cy="${px(yAt(y))}" r="3"/>`).join('');
    const y = PLOT.top + 14 + i * 20;
    return (
      `<g class="series-${i % 6}"><polyline points="${path}"/>${dots}` +
      `<line x1="${right + 16}" x2="${right + 36}" y1="${y}" y2="${y}"/></g>` +
      `<text class="value" x="${right + 42}" y="${y}">${escapeHtml(label)}</text>`
    );
  });
  const names = `<text class="tick" x="${(PLOT.left + right) / 2}" y="${PLOT.height - 8}">${escapeHtml(xLabel)}</text>`;
  const body = [...grid, ...ticks, ...drawn, names].join('\n');
  return figureElement(`${title}: ${yLabel}`, PLOT.width, PLOT.height, body);
}
