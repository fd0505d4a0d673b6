/** Colours, and what the charts need of them; a chart by itself carries this along. */
export const CHART_STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #6b7280; --line: #d6dae0; --paper: #fff; --ours: #0f766e; --other: #b6bec9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --faint: #9aa3af; --line: #374151; --paper: #14171b; --ours: #2dd4bf; --other: #4b5563; }
}
svg text { fill: var(--ink); dominant-baseline: middle; }
.label { text-anchor: end; } .tick { text-anchor: middle; fill: var(--faint); }
.ours { fill: var(--ours); } .other { fill: var(--other); }
.whisker { stroke: var(--ink); stroke-width: 1.5; } .grid { stroke: var(--line); }
[class^='series'] polyline { fill: none; stroke-width: 2; stroke: currentColor; }
.band { fill: var(--line); opacity: 0.45; } .event { stroke: var(--faint); stroke-dasharray: 2 3; }
[class^='series'] line { stroke-width: 2; stroke: currentColor; } [class^='series'] circle { fill: currentColor; }
.series-0 { color: #0f9488; } .series-1 { color: #d97706; } .series-2 { color: #6366f1; }
.series-3 { color: #db2777; } .series-4 { color: #65a30d; } .series-5 { color: #0284c7; }
`;

const STYLE = `${CHART_STYLE}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
p.faint, figcaption { color: var(--faint); } figure { margin: 1.2rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
.number { text-align: right; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
.passed { color: var(--ours); font-weight: 600; } .failed { color: #dc2626; font-weight: 600; }
`;

/** A whole HTML page that needs nothing from anywhere else. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${body}
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** A chart of its own, with its caption. */
export function figureElement(caption: string, width: number, height: number, body: string): string {
  const text = escapeHtml(caption);
  return (
    `<figure><figcaption>${text}</figcaption>\n` +
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${text}">\n${body}\n</svg></figure>`
  );
}

/** The chart of a figure as a file of its own, with the styles that its page would give it. */
export function svgFile(figure: string): string {
  const svg = figure.slice(figure.indexOf('<svg '), figure.indexOf('</figure>'));
  const [head, ...body] = svg.split('\n');
  const own = (head ?? '').replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ');
  const style = `<style>${CHART_STYLE}svg { font: 12px system-ui, sans-serif; }</style>`;
  return `${[own, style, ...body].join('\n')}\n`;
}

/** The next 1, 2, 2.5 or 5 times a power of ten. */
export function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * power >= value) ?? 10;
  return factor * power;
}

/** A number as an axis shows it. */
export function figure(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en-US');
  if (value === 0) return '0';
  return String(Number(value.toPrecision(3)));
}

/** A coordinate. */
export function px(value: number): string {
  return value.toFixed(1);
}

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
