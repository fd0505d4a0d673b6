import { resolve } from 'node:path';
import { z } from 'zod';
import type { Setting } from '../producer/config/setting.ts';

/*
 * A key of a YAML file is one row of a schema: name, type and range, default, and `.describe()` for what it means.
 * Here is how a row is written, how it is found by its path, and what the program calls it. The unit stands in the
 * name: `.ms` or `.bytes`.
 */

/** A key's path: names of maps' keys, indexes of lists' items. */
export type KeyPath = readonly (string | number)[];

/** The folders that relative paths start at. */
export interface Folders {
  /** Of the file in which the path stands. */
  readonly file: string;
  /** Of what is written while we run. */
  readonly data: string;
}

/** What a row says besides its type, default and meaning. */
interface KeyFacts {
  /** Where a relative path starts. */
  readonly folder?: keyof Folders;
  /** A change is taken up by a reload; left out, it needs a restart. */
  readonly reloads?: true;
  /** Of a key that the producer's table checks, its row there. */
  readonly row?: Setting<unknown>;
}

/** The facts of rows that have any: `.register(keyFacts, …)`. */
export const keyFacts = z.registry<KeyFacts>();

/** An integer within bounds, both included. */
export function integer(min: number, max: number) {
  const error = `an integer from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A number, or the word `unlimited`, which the program knows as Infinity. */
export function unlimitedOr(least: number, error: string) {
  return z.union([z.literal('unlimited'), z.int().min(least)], { error });
}

/** A number above 0, up to 1. */
export function share() {
  const error = 'a share above 0, up to 1';
  return z.number({ error }).gt(0, { error }).max(1, { error });
}

export function boolean() {
  return z.boolean({ error: 'true or false' });
}

/** Text of at least one character; `what` says what it is for. */
export function text(what: string) {
  return z.string({ error: what }).min(1, { error: what });
}

/** Text that a pattern matches. */
export function textLike(pattern: RegExp, what: string) {
  return z.string({ error: what }).regex(pattern, { error: what });
}

/** The path of a file or folder, which the program gets as an absolute one. */
export function path(folder: keyof Folders, what: string) {
  return text(what).register(keyFacts, { folder });
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, { error: words.join(' or ') });
}

/** A list of at least one item; `one` says what is missing in an empty list. */
export function list<T extends z.ZodType>(item: T, what: string, one = what) {
  return z.array(item, { error: what }).min(1, { error: one });
}

/** A map with exactly these keys; of many keys, an example says more than their names. */
export function section<T extends z.core.$ZodLooseShape>(shape: T, example?: string) {
  return z.strictObject(shape, { error: `a map ${example ?? `of ${Object.keys(shape).join(', ')}`}` });
}

/** The name of a Kafka topic; 4 of Kafka's 249 characters are left for `.dlq`. */
export function kafkaTopic() {
  const error = 'a Kafka topic name: 1 to 245 of the characters a-z A-Z 0-9 . _ -';
  return textLike(/^(?!\.{1,2}$)[a-zA-Z0-9._-]+$/, error).max(245, { error });
}

/** The schema inside of "optional" and "with a default". */
export function bare(schema: unknown): unknown {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap();
  }
  return inner;
}

/** The alternatives of a schema: itself, or the options of a union. */
export function alternatives(schema: unknown): unknown[] {
  const inner = bare(schema);
  return inner instanceof z.ZodUnion ? inner.options.flatMap((option) => alternatives(option)) : [inner];
}

/** The keys that a map of this schema may have; undefined if it is not a map, or one of any names. */
export function keysOf(schema: unknown): readonly string[] | undefined {
  const map = alternatives(schema).find((option) => option instanceof z.ZodObject);
  return map === undefined ? undefined : Object.keys(map.shape);
}

/** Whether a map of this schema may have keys of any name. */
export function isOpenMap(schema: unknown): boolean {
  return alternatives(schema).some((option) => option instanceof z.ZodRecord);
}

export function isList(schema: unknown): boolean {
  return alternatives(schema).some((option) => option instanceof z.ZodArray);
}

/** Whether a value of this schema is a map, with fixed or with open names. */
export function isMap(schema: unknown): boolean {
  return keysOf(schema) !== undefined || isOpenMap(schema);
}

/** The schema of a key or an item one level below; undefined where there is none. */
export function child(schema: unknown, key: string | number): unknown {
  for (const option of alternatives(schema)) {
    if (option instanceof z.ZodObject && Object.hasOwn(option.shape, key)) return option.shape[key];
    if (option instanceof z.ZodRecord) return option.valueType;
    if (option instanceof z.ZodArray && typeof key === 'number') return option.element;
  }
  return undefined;
}

/** The schema at a path. */
export function schemaAt(schema: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((inner, key) => (inner === undefined ? undefined : child(inner, key)), schema);
}

/** Every path of fixed keys of a schema, lists and open maps not entered. */
export function fixedPaths(schema: unknown, path: readonly string[] = []): (readonly string[])[] {
  return (keysOf(schema) ?? []).flatMap((key) => {
    const inner = [...path, key];
    return [inner, ...fixedPaths(child(schema, key), inner)];
  });
}

/** The value at a path of plain data. */
export function valueAt(data: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((value, key) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    return (value as Record<string | number, unknown>)[key];
  }, data);
}

/** Whether a value is a map of plain data, and no list. */
export function isPlainMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a key is the same as another, or contains it. */
export function isPrefix(prefix: KeyPath, path: KeyPath): boolean {
  return prefix.length <= path.length && prefix.every((key, index) => key === path[index]);
}

/** A key's path as people write it, e.g. `mqtt.listeners[0].port`. */
export function keyText(path: KeyPath): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? key : `${text}.${key}`;
  }, '');
}

const SECRET =
  /passw|passphrase|secret|token|user\.info|credential|jaas|private|ssl\..*\.key$|sasl\.(?!mechanism)/i;

/** Whether the value at a key may be a secret, and is therefore never shown. */
export function isSecret(path: KeyPath): boolean {
  return SECRET.test(keyText(path));
}

/** A key's name in the program: `linger.ms` is `lingerMs`. */
type ProgramName<Key> = Key extends `${infer First}.${infer Rest}`
  ? `${First}${Capitalize<ProgramName<Rest>>}`
  : Key & string;

/** What a document says in the program's own terms, see {@link inProgramTerms}. */
export type InProgramTerms<T> = T extends 'unlimited'
  ? number
  : T extends readonly (infer Item)[]
    ? readonly InProgramTerms<Item>[]
    : T extends object
      ? { readonly [Key in keyof T as ProgramName<Key>]: InProgramTerms<Exclude<T[Key], undefined>> }
      : T;

/**
 * Puts a document into the program's own terms: `linger.ms` becomes `lingerMs`, `unlimited` Infinity, and a path
 * absolute. Names that a person chose stay as they are.
 */
export function inProgramTerms<T extends z.ZodType>(
  schema: T,
  document: z.output<T>,
  folders: Folders,
): InProgramTerms<z.output<T>> {
  return translated(schema, document, folders) as InProgramTerms<z.output<T>>;
}

function translated(schema: unknown, value: unknown, folders: Folders): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => translated(child(schema, index), item, folders));
  if (isPlainMap(value)) {
    const known = keysOf(schema) ?? [];
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return Object.fromEntries(
      entries.map(([key, inner]) => [
        known.includes(key) ? programName(key) : key,
        translated(child(schema, key), inner, folders),
      ]),
    );
  }
  const types = alternatives(schema);
  if (value === 'unlimited' && types.some((type) => type instanceof z.ZodLiteral)) return Infinity;
  const folder = types[0] instanceof z.ZodType ? keyFacts.get(types[0])?.folder : undefined;
  return folder === undefined ? value : resolve(folders[folder], String(value));
}

function programName(key: string): string {
  return key.replaceAll(/\.([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
