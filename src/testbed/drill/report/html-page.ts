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
