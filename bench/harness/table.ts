import { escapeHtml } from '../../src/testbed/drill/report/html-page.ts';
import type { Row } from './summary.ts';
import type { Workload } from './workloads.ts';

/** A table of text: its head, its rows, and how many of its columns are words (the others are numbers). */
export interface TextTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly wordColumns: number;
}

interface Column {
  readonly head: string;
  readonly cell: (row: Row) => string;
  /** Left out where it says nothing. */
  readonly shown?: (workload: Workload) => boolean;
}

const COLUMNS: readonly Column[] = [
  { head: 'bridge', cell: (row) => row.name },
  { head: 'PUBACK', cell: (row) => row.acknowledges, shown: ({ qos }) => qos === 1 },
  { head: 'value', cell: (row) => row.value },
  { head: 'messages/s', cell: (row) => count(row.perSecond) },
  { head: 'CPU us/msg', cell: (row) => row.cpuMicrosPerMessage.toFixed(2) },
  { head: 'ratio', cell: (row) => `${row.ratio.toFixed(2)}x` },
  { head: 'peak MB', cell: (row) => (row.peakMemoryBytes / 2 ** 20).toFixed(0) },
  { head: 'p50 ms', cell: (row) => row.p50Ms.toFixed(1), shown: ({ qos }) => qos === 1 },
  { head: 'p99 ms', cell: (row) => row.p99Ms.toFixed(1), shown: ({ qos }) => qos === 1 },
  { head: 'p99.9 ms', cell: (row) => row.p999Ms.toFixed(1), shown: ({ qos }) => qos === 1 },
  {
    head: 'Kafka B/msg',
    cell: (row) => (row.value === 'nothing' ? '' : row.kafkaBytesPerMessage.toFixed(1)),
  },
  {
    head: 'link Mbit/s',
    cell: (row) => ((row.kafkaBytesPerMessage * 8 * row.perSecond) / 1e6).toFixed(1),
    shown: ({ link }) => link !== undefined,
  },
  {
    head: 'caught up s',
    cell: (row) => (row.caughtUpMs === undefined ? '' : (row.caughtUpMs / 1000).toFixed(1)),
    shown: ({ outageMs }) => outageMs !== undefined,
  },
  { head: 'missed', cell: (row) => count(row.missed), shown: ({ rate }) => rate > 0 },
  { head: 'lost', cell: (row) => count(row.lost) },
  { head: 'repeated', cell: (row) => count(row.repeated) },
];

export function tableOf(workload: Workload, rows: readonly Row[]): TextTable {
  const columns = COLUMNS.filter(({ shown }) => shown?.(workload) ?? true);
  return {
    head: columns.map(({ head }) => head),
    rows: rows.map((row) => columns.map((column) => column.cell(row))),
    wordColumns: columns.findIndex(({ head }) => head === 'messages/s'),
  };
}

/** Aligned, for a terminal. */
export function plainText({ head, rows, wordColumns }: TextTable): string {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i < wordColumns ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}

export function markdownTable({ head, rows, wordColumns }: TextTable): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i < wordColumns ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

export function htmlTable({ head, rows, wordColumns }: TextTable): string {
  const cells = (tag: string, row: readonly string[]): string =>
    row
      .map((cell, i) => `<${tag}${i < wordColumns ? '' : ' class="number"'}>${escapeHtml(cell)}</${tag}>`)
      .join('');
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('\n');
  return `<table>\n<thead><tr>${cells('th', head)}</tr></thead>\n<tbody>\n${body}\n</tbody>\n</table>`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
