import type { CsvSpec } from '../../core/profile/decoder-spec.ts';
import type { TextFormat } from './text-reader.ts';

/**
 * Comma-separated values (RFC 4180), one reading a line. Text in quotes may hold the separator and doubled
 * quotes, but no line break.
 */
export function csvFormat({ columns, separator, headerLines }: CsvSpec): TextFormat {
  return {
    contentType: 'text/csv',
    columns,
    lines: true,
    headerLines,
    take(line) {
      const texts = splitLine(line, separator);
      if (typeof texts === 'string') return texts;
      return texts.length === columns.length
        ? texts
        : `not the CSV that is expected: ${texts.length} columns instead of ${columns.length}`;
    },
  };
}

function splitLine(line: string, separator: string): string[] | string {
  const texts: string[] = [];
  let position = 0;
  for (;;) {
    let end: number;
    if (line[position] === '"') {
      let text = '';
      let quote = position;
      for (;;) {
        const next = line.indexOf('"', quote + 1);
        if (next < 0) return 'not CSV: a quote without end';
        text += line.slice(quote + 1, next);
        quote = next;
        if (line[quote + 1] !== '"') break;
        text += '"';
        quote += 1;
      }
      end = quote + 1;
      if (end < line.length && line[end] !== separator) return 'not CSV: text behind a quote';
      texts.push(text);
    } else {
      const next = line.indexOf(separator, position);
      end = next < 0 ? line.length : next;
      texts.push(line.slice(position, end));
    }
    if (end >= line.length) return texts;
    position = end + 1;
  }
}

/** Writes one line of values in the order of the columns. */
export function writeCsv(
  { columns, separator }: CsvSpec,
  values: Readonly<Record<string, unknown>>,
): Uint8Array {
  const texts = columns.map(({ name }) => {
    const value = values[name];
    const text =
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
        ? String(value)
        : '';
    return text.includes(separator) || text.includes('"') ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return Buffer.from(texts.join(separator), 'utf8');
}
