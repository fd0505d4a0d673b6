import { escapeHtml, figure, figureElement, niceTop, px } from './html-page.ts';

export interface TimeSeries {
  readonly label: string;
  /** Milliseconds, and the value. */
  readonly points: readonly Point[];
  /** A line would claim that there was something between points that are further apart than this. */
  readonly gapMs?: number;
  /** So that what lies below can be seen where two are the same. */
  readonly isDashed?: boolean;
}

type Point = readonly [atMs: number, value: number];

export interface TimeChartOptions {
  readonly title: string;
  readonly unit: string;
  /** Both ends of the time axis, milliseconds. */
  readonly span: readonly [fromMs: number, toMs: number];
  /** Shaded stretches of time. */
  readonly bands: readonly (readonly [fromMs: number, toMs: number])[];
  /** Moments worth a line. */
  readonly eventsMs: readonly number[];
  /** Where values differ by orders of magnitude. */
  readonly logarithmic?: boolean;
}

const PLOT = { left: 70, right: 170, top: 12, bottom: 40, width: 960, height: 240 };
const STEPS = 4;
const MOST_TICKS = 10;
const TICK_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600];

/** Lines over time, values from 0 (or over powers of ten), seconds below. */
export function timeChart(options: TimeChartOptions, series: readonly TimeSeries[]): string {
  const { title, unit, span, bands, eventsMs } = options;
  const right = PLOT.width - PLOT.right;
  const bottom = PLOT.height - PLOT.bottom;
  const xAt = (atMs: number): number => {
    const share = (atMs - span[0]) / Math.max(1, span[1] - span[0]);
    return PLOT.left + Math.min(1, Math.max(0, share)) * (right - PLOT.left);
  };
  const axis = valueAxis(series, options.logarithmic ?? false);
  const yAt = (value: number): number => bottom - axis.share(value) * (bottom - PLOT.top);

  const shaded = bands.map(([fromMs, toMs]) => {
    const [x, end] = [xAt(fromMs), xAt(toMs)];
    return `<rect class="band" x="${px(x)}" y="${PLOT.top}" width="${px(end - x)}" height="${bottom - PLOT.top}"/>`;
  });
  const grid = axis.ticks.map((value) => {
    const y = px(yAt(value));
    return (
      `<line class="grid" x1="${PLOT.left}" x2="${right}" y1="${y}" y2="${y}"/>` +
      `<text class="label" x="${PLOT.left - 8}" y="${y}">${figure(value)}</text>`
    );
  });
  const events = eventsMs.map((atMs) => {
    const x = px(xAt(atMs));
    return `<line class="event" x1="${x}" x2="${x}" y1="${PLOT.top}" y2="${bottom}"/>`;
  });
  const ticks = secondTicks(span).map(
    (seconds) =>
      `<text class="tick" x="${px(xAt(span[0] + seconds * 1000))}" y="${bottom + 16}">${seconds}</text>`,
  );
  const drawn = series.map(({ label, points, gapMs, isDashed }, index) => {
    const lines = stretches(points, gapMs).map((stretch) => {
      const [x, y] = [xAt(stretch[0]?.[0] ?? 0), yAt(stretch[0]?.[1] ?? 0)];
      // A line of one point can't be seen.
      if (stretch.length === 1) return `<circle cx="${px(x)}" cy="${px(y)}" r="2"/>`;
      const path = stretch.map(([atMs, value]) => `${px(xAt(atMs))},${px(yAt(value))}`).join(' ');
      return `<polyline points="${path}"/>`;
    });
    const y = PLOT.top + 12 + index * 18;
    const dashes = isDashed === true ? ' stroke-dasharray="6 5"' : '';
    return (
      `<g class="series-${index % 6}"${dashes}>${lines.join('')}` +
      `<line x1="${right + 12}" x2="${right + 30}" y1="${y}" y2="${y}"/></g>` +
      `<text class="value" x="${right + 36}" y="${y}">${escapeHtml(label)}</text>`
    );
  });
  const seconds = `<text class="tick" x="${(PLOT.left + right) / 2}" y="${PLOT.height - 6}">seconds</text>`;
  const body = [...shaded, ...grid, ...events, ...ticks, ...drawn, seconds].join('\n');
  return figureElement(`${title}, ${unit}`, PLOT.width, PLOT.height, body);
}

function stretches(points: readonly Point[], gapMs = Infinity): Point[][] {
  const all: Point[][] = [];
  let beforeMs = -Infinity;
  for (const point of points) {
    if (point[0] - beforeMs > gapMs || all.length === 0) all.push([]);
    all.at(-1)?.push(point);
    beforeMs = point[0];
  }
  return all;
}

interface ValueAxis {
  readonly ticks: readonly number[];
  /** 0 at the bottom, 1 at the top. */
  readonly share: (value: number) => number;
}

function valueAxis(series: readonly TimeSeries[], logarithmic: boolean): ValueAxis {
  // Not Math.max(...): a long drill has more points than a call may have arguments.
  let [least, most] = [Infinity, 0];
  for (const { points } of series) {
    for (const [, value] of points) {
      most = Math.max(most, value);
      if (value > 0) least = Math.min(least, value);
    }
  }
  if (most === 0) most = 1;
  if (!logarithmic) {
    const top = niceTop(most);
    return {
      ticks: Array.from({ length: STEPS + 1 }, (_, i) => (top * i) / STEPS),
      share: (value) => value / top,
    };
  }
  const lowest = Math.floor(Math.log10(Math.min(least, most)));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(most)));
  return {
    ticks: Array.from({ length: highest - lowest + 1 }, (_, i) => 10 ** (lowest + i)),
    share: (value) =>
      value <= 0 ? 0 : Math.max(0, (Math.log10(value) - lowest) / Math.max(1, highest - lowest)),
  };
}

function secondTicks([fromMs, toMs]: readonly [number, number]): number[] {
  const seconds = (toMs - fromMs) / 1000;
  const step = TICK_SECONDS.find((each) => seconds / each <= MOST_TICKS) ?? 86_400;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step);
}
