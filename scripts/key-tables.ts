// Writes the tables of every key into docs/: of sluice.yaml, of device profiles and of the producer, from the rows
// that the program checks them by.
//   node scripts/key-tables.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { z } from 'zod';
import { alternatives, bare, child, isList, isOpenMap, keyFacts, keysOf } from '../src/config/key.ts';
import { profileSchema } from '../src/config/profile/profile-schema.ts';
import { configSchema } from '../src/config/schema.ts';
import { SETTINGS, UNSUPPORTED } from '../src/producer/config/config-table.ts';
import type { Setting } from '../src/producer/config/setting.ts';

const root = join(import.meta.dirname, '..');

/** The pages with tables, each between `<!-- keys: … -->` and `<!-- /keys -->`. */
export const KEY_PAGES = ['docs/configuration.md', 'docs/profiles.md', 'docs/producer.md'];

const MARKED = /(<!-- keys: (\S+) ?([^>]*?) -->\n).*?(<!-- \/keys -->)/gs;

/** A key as it is documented. */
export interface KeyRow {
  /** `metrics.<name>.range.min`: names that a person chooses stand in angle brackets; `[]` is an item of a list. */
  readonly path: string;
  /** What it may hold, in words. */
  readonly expected: string;
  /** As YAML writes it, with its unit; undefined: there is none. */
  readonly defaultValue: string | undefined;
  readonly required: boolean;
  readonly description: string;
  /** Whether it has others below it. */
  readonly isSection: boolean;
}

/** Every key of a schema, in its order, which is what `sluice check` goes by. */
export function keyRows(schema: z.ZodType): KeyRow[] {
  return [...rowsBelow(schema, '')];
}

function* rowsBelow(schema: unknown, parent: string): Generator<KeyRow> {
  for (const key of keysOf(schema) ?? []) {
    const inner = child(schema, key);
    const path = parent === '' ? key : `${parent}.${key}`;
    const below = hasItems(inner) ? child(inner, 0) : isNamed(inner) ? child(inner, '') : inner;
    const defaultValue = defaultOf(inner, key);
    yield {
      path,
      expected: expectedOf(inner),
      defaultValue,
      required: !isOptional(inner) && defaultValue === undefined,
      description: descriptionOf(inner),
      isSection: keysOf(below) !== undefined,
    };
    yield* rowsBelow(below, hasItems(inner) ? `${path}[]` : isNamed(inner) ? `${path}.<name>` : path);
  }
}

function hasItems(schema: unknown): boolean {
  return isList(schema) && keysOf(schema) === undefined;
}

function isNamed(schema: unknown): boolean {
  return isOpenMap(schema) && keysOf(schema) === undefined;
}

function isOptional(schema: unknown): boolean {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault;
}

/** The unit stands in the key's name. */
const UNITS = { '.ms': 'ms', '.bytes': 'bytes' };

function defaultOf(schema: unknown, key: string): string | undefined {
  const row = factsOf(schema)?.row;
  if (row?.default !== undefined) return shownDefault(row);
  if (!(schema instanceof z.ZodDefault)) return undefined;
  const value = schema.def.defaultValue;
  // Nothing in it: as if it were not there.
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return '';
  if (typeof value === 'string') return value;
  const unit = Object.entries(UNITS).find(([ending]) => key.endsWith(ending))?.[1];
  return typeof value === 'number' && unit !== undefined ? `${value} ${unit}` : JSON.stringify(value);
}

/** What a fault would say is expected. */
function expectedOf(schema: unknown): string {
  const row = factsOf(schema)?.row;
  if (row !== undefined) return row.type.expected;
  const inner = bare(schema);
  if (!(inner instanceof z.ZodType)) return '';
  if (keysOf(inner) !== undefined && alternatives(inner).length === 1) return 'a map';
  const result = inner.safeParse(Symbol('what nothing is'));
  return result.success ? '' : (result.error.issues[0]?.message ?? '');
}

function factsOf(schema: unknown) {
  return schema instanceof z.ZodType ? keyFacts.get(schema) : undefined;
}

function descriptionOf(schema: unknown): string {
  if (!(schema instanceof z.ZodType)) return '';
  const reloads = factsOf(schema)?.reloads === true ? ' A change needs no restart.' : '';
  return `${schema.description ?? ''}${reloads}`;
}

/** A page with its tables as they should be. */
export async function currentPage(page: string): Promise<string> {
  const filepath = join(root, page);
  const text = readFileSync(filepath, 'utf8');
  if (!text.includes('<!-- keys: ')) throw new Error(`${page} has no place for keys`);
  const filled = text.replaceAll(
    MARKED,
    (_, begin: string, source: string, names: string, end: string) =>
      `${begin}\n${TABLES[source]?.(names.split(' ')) ?? ''}\n\n${end}`,
  );
  return format(filled, { ...(await resolveConfig(filepath)), filepath });
}

/** What may stand behind `keys:`. */
const TABLES: Readonly<Record<string, (names: readonly string[]) => string>> = {
  'sluice.yaml': (names) =>
    table(keyRows(configSchema).filter((row) => names.includes(topOf(row)) && isTold(row))),
  profile: profileTables,
  producer: producerTable,
};

function topOf({ path }: KeyRow): string {
  return keysOf(configSchema)?.find((key) => key === path) ?? /^[^.[]+/.exec(path)?.[0] ?? path;
}

/** A map that only holds others says nothing of its own. */
function isTold({ isSection, description }: KeyRow): boolean {
  return !isSection || description !== '';
}

/** A table for each key that has others below it. */
function profileTables(): string {
  const rows = keyRows(profileSchema);
  const sections = Map.groupBy(rows, ({ path }) => {
    const top = path.split('.')[0] as string;
    return rows.some((other) => other.path.startsWith(`${top}.`)) ? top : '';
  });
  return [...sections]
    .map(([name, below]) => {
      const heading = name === '' ? '### Keys without others below them' : `### \`${name}\``;
      return `${heading}\n\n${table(below)}`;
    })
    .join('\n\n');
}

function producerTable(): string {
  const rows = Object.values<Setting<unknown>>(SETTINGS)
    .filter(({ name }) => !/^(ssl|sasl|security)\./.test(name))
    .map((row) => ({
      path: row.name,
      expected: row.type.expected,
      defaultValue: shownDefault(row),
      required: false,
      description: row.meaning,
    }));
  const absent = Object.entries(UNSUPPORTED).map(([name, why]) => `- \`${name}\`: ${why}`);
  return [table(rows), '', "Of Java's settings these have no place here:", '', ...absent].join('\n');
}

function shownDefault({ name, default: value }: Setting<unknown>): string {
  if (value === undefined) return '';
  if (name === 'acks') return 'all';
  if (Array.isArray(value) && value.length === 0) return 'none: it must be set';
  return JSON.stringify(value).replaceAll(/["[\]]/g, '');
}

function table(rows: readonly Omit<KeyRow, 'isSection'>[]): string {
  const lines = rows.map(({ path, expected, defaultValue, required, description }) => {
    const absent = required ? 'required' : (defaultValue ?? '');
    return `| \`${path}\` | ${cell(expected)} | ${cell(absent)} | ${cell(description)} |`;
  });
  return ['| Key | Value | Default | Meaning |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

/** Angle brackets are no HTML, outside of code. */
function cell(text: string): string {
  const [plain = '', ...parts] = text.replaceAll('|', '\\|').replaceAll('\n', ' ').split('`');
  const inPlain = (part: string): string => part.replaceAll(/<([a-z]+)>/g, '&lt;$1&gt;');
  return [inPlain(plain), ...parts.map((part, index) => (index % 2 === 0 ? part : inPlain(part)))].join('`');
}

if (import.meta.main) {
  for (const page of KEY_PAGES) writeFileSync(join(root, page), await currentPage(page));
}
