import { z } from 'zod';
import { profileSchema } from './profile-schema.ts';
import { alternatives, bare, child, isOpenMap, keysOf } from './schema-tree.ts';

/** A key of device profiles, as it is documented. */
export interface ProfileKey {
  /** `metrics.<name>.range.min`: names that a person chooses stand in angle brackets. */
  readonly path: string;
  /** What it may hold, in words. */
  readonly expected: string;
  /** As YAML writes it; undefined: there is none. */
  readonly defaultValue: string | undefined;
  readonly required: boolean;
  readonly description: string;
}

/** Every key of a device profile, in the order of the schema, which is what `sluice check` goes by. */
export function profileKeys(): ProfileKey[] {
  return [...keysBelow(profileSchema, '')];
}

/** The reference as Markdown: a table for each key that has others below it. */
export function profileReference(): string {
  const keys = profileKeys();
  const sections = new Map<string, ProfileKey[]>();
  for (const key of keys) {
    const top = key.path.split('.')[0] as string;
    const section = keys.some(({ path }) => path.startsWith(`${top}.`)) ? top : '';
    sections.set(section, [...(sections.get(section) ?? []), key]);
  }
  return [...sections].map(([name, rows]) => table(name, rows)).join('\n\n');
}

function table(section: string, rows: readonly ProfileKey[]): string {
  const heading = section === '' ? '### Keys without others below them' : `### \`${section}\``;
  const lines = rows.map(({ path, expected, defaultValue, required, description }) => {
    const absent = required ? 'required' : (defaultValue ?? '');
    return `| \`${path}\` | ${cell(expected)} | ${cell(absent)} | ${cell(description)} |`;
  });
  return [
    heading,
    '',
    '| Key | Value | Default | What it says |',
    '| --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

function cell(text: string): string {
  return text
    .replaceAll('|', '\\|')
    .replaceAll(/<([a-z]+)>/g, '&lt;$1&gt;')
    .replaceAll('\n', ' ');
}

function* keysBelow(schema: unknown, parent: string): Generator<ProfileKey> {
  for (const key of keysOf(schema) ?? []) {
    const inner = child(schema, key);
    const path = parent === '' ? key : `${parent}.${key}`;
    const defaultValue = defaultOf(inner);
    yield {
      path,
      expected: expectedOf(inner),
      defaultValue,
      required: !isOptional(inner) && defaultValue === undefined,
      description: descriptionOf(inner),
    };
    const below = isOpenMap(inner) && keysOf(inner) === undefined ? child(inner, '') : inner;
    yield* keysBelow(below, below === inner ? path : `${path}.<name>`);
  }
}

function isOptional(schema: unknown): boolean {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault;
}

function defaultOf(schema: unknown): string | undefined {
  if (!(schema instanceof z.ZodDefault)) return undefined;
  const value = schema.def.defaultValue;
  // Nothing in it: as if it were not there.
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What a fault would say is expected. */
function expectedOf(schema: unknown): string {
  const inner = bare(schema);
  if (!(inner instanceof z.ZodType)) return '';
  if (keysOf(inner) !== undefined && alternatives(inner).length === 1) return 'a map';
  const result = inner.safeParse(Symbol('what nothing is'));
  return result.success ? '' : (result.error.issues[0]?.message ?? '');
}

function descriptionOf(schema: unknown): string {
  return schema instanceof z.ZodType ? (schema.description ?? '') : '';
}
