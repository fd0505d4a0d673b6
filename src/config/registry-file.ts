import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { errorMessage, isMissing } from '../core/errors.ts';
import type { KeyFault } from '../core/fault.ts';

/** Devices by id, each with its columns by name. */
export type RegistryRows = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** What is wrong with a registry file, in words for a person. */
export type RegistryProblem = Omit<KeyFault, 'path'>;

/**
 * Reads a list of devices. CSV (RFC 4180, with a line of column names; `,`, `;` or tab), or YAML: a list of maps, or
 * a map of device ids to maps. Never throws.
 * @param key the column with the device id
 */
export function readRegistryFile(file: string, key: string) {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    const found = isMissing(error) ? `no file ${file}` : errorMessage(error);
    return problem(found, 'a CSV or YAML file that can be read');
  }
  const records = /\.ya?ml$/i.test(file) ? yamlRecords(text, key) : csvRecords(text);
  if ('found' in records) return { problem: records };

  const rows = new Map<string, ReadonlyMap<string, string>>();
  for (const { place, columns } of records) {
    const id = columns.get(key);
    if (id === undefined || id === '') {
      return problem(`${place} without \`${key}\``, `\`${key}\`, the device id, in every entry`);
    }
    if (rows.has(id))
      return problem(`${place} with device ${JSON.stringify(id)} a second time`, 'every device once');
    rows.set(id, columns);
  }
  return { rows };
}

function problem(found: string, expected: string): { readonly problem: RegistryProblem } {
  return { problem: { found, expected } };
}

interface RegistryRecord {
  /** For people: `line 3`. */
  readonly place: string;
  readonly columns: ReadonlyMap<string, string>;
}

function yamlRecords(text: string, key: string): RegistryRecord[] | RegistryProblem {
  const expected = 'a list of maps, or a map of device ids to maps';
  let data: unknown;
  try {
    data = parse(text);
  } catch (error) {
    return { found: `YAML that can't be read: ${errorMessage(error)}`, expected };
  }
  if (typeof data !== 'object' || data === null) {
    return data === null ? [] : { found: 'a single value', expected };
  }
  const entries: [string, unknown][] = Array.isArray(data)
    ? data.map((entry, index) => [`entry ${index + 1}`, entry])
    : Object.entries(data);
  const records: RegistryRecord[] = [];
  for (const [name, entry] of entries) {
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
      return { found: `${name}, which is no map`, expected };
    }
    const columns = new Map(Object.entries(entry).map(([column, value]) => [column, cellText(value)]));
    if (!Array.isArray(data)) columns.set(key, name);
    records.push({ place: name, columns });
  }
  return records;
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function csvRecords(text: string): RegistryRecord[] | RegistryProblem {
  const lines = csvLines(text);
  if ('found' in lines) return lines;
  const [names, ...rest] = lines;
  if (names === undefined) return { found: 'an empty file', expected: 'a first line of column names' };
  const records: RegistryRecord[] = [];
  for (const { line, cells } of rest) {
    if (cells.length !== names.cells.length) {
      const expected = `${names.cells.length} columns, as in the first line`;
      return { found: `line ${line} with ${cells.length} columns`, expected };
    }
    const columns = new Map(names.cells.map((name, index) => [name.trim(), (cells[index] ?? '').trim()]));
    records.push({ place: `line ${line}`, columns });
  }
  return records;
}

interface CsvLine {
  readonly line: number;
  readonly cells: readonly string[];
}

/** Cells in quotes may hold separators, line breaks and doubled quotes. Empty lines are skipped. */
function csvLines(text: string): CsvLine[] | RegistryProblem {
  const separator = /^[^\n]*?([,;\t])/.exec(text)?.[1] ?? ',';
  const cell = new RegExp(`"((?:[^"]|"")*)"(?=[${separator}\\r\\n]|$)|([^${separator}"\\r\\n]*)`, 'y');
  const lines: CsvLine[] = [];
  let cells: string[] = [];
  let line = 1;
  let startLine = 1;
  while (cell.lastIndex < text.length) {
    const match = cell.exec(text);
    const [all = '', quoted, plain = ''] = match ?? [];
    cells.push(quoted?.replaceAll('""', '"') ?? plain);
    line += all.split('\n').length - 1;
    const position = match === null ? text.length : match.index + all.length;
    const end = /[\r\n]+|./y;
    end.lastIndex = position;
    const next = end.exec(text)?.[0] ?? '\n';
    if (next === '"')
      return { found: `line ${line} with a quote within a cell`, expected: 'quotes around whole cells' };
    cell.lastIndex = position + next.length;
    if (next === separator) {
      // A separator at the very end has an empty cell behind it.
      if (cell.lastIndex === text.length) cells.push('');
      else continue;
    }
    if (cells.some((value) => value !== '')) lines.push({ line: startLine, cells });
    line += next.split('\n').length - 1;
    startLine = line;
    cells = [];
  }
  return lines;
}
