import { CHART_STYLE, escapeHtml } from './html-page.ts';

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
