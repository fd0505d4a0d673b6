import type { z } from 'zod';
import { keyFault, nearest, type ConfigFault, type ConfigWarning, type KeyFault } from '../core/fault.ts';
import {
  child,
  fixedPaths,
  isList,
  isMap,
  isOpenMap,
  isPlainMap,
  isSecret,
  keysOf,
  schemaAt,
  valueAt,
  type KeyPath,
} from './key.ts';

/** One fault on one line: `sluice.yaml:3 mqtt.listeners[0].port: found 70000, expected an integer …`. */
export function describeFault({ file, line, key, found, expected }: ConfigFault): string {
  const place = line > 0 ? `${file}:${line}` : file;
  return `${place}${key === '' ? '' : ` ${key}`}: found ${found}, expected ${expected}`;
}

/** `warning CODE sluice.yaml:7 kafka.producer.linger.ms: found 0, better 5 or more: ...` */
export function describeWarning({ code, file, line, key, found, expected }: ConfigWarning): string {
  const place = line > 0 ? `${file}:${line}` : file;
  return `warning ${code} ${place} ${key}: found ${found}, better ${expected}`;
}

/**
 * Validates plain data. Besides every fault, returns what is left when the faulty keys are taken away, so
 * that later stages can look for their faults in the same run; undefined where that lacks a key that must be.
 */
export function parseDocument<T extends z.ZodType>(schema: T, data: unknown) {
  let rest = withoutEmptySections(schema, data ?? {});
  let result = schema.safeParse(rest);
  const faults = result.success ? [] : keyFaults(schema, rest, result.error.issues);
  while (!result.success) {
    const smaller = structuredClone(rest);
    const paths = keyFaults(schema, rest, result.error.issues).map(({ path }) => path);
    // A key that must be and is missing at the root can't be taken away.
    if (!paths.map((path) => removeNearest(smaller, path)).every(Boolean)) break;
    rest = smaller;
    result = schema.safeParse(rest);
  }
  return { value: result.success ? result.data : undefined, faults };
}

/** `kafka:` with nothing behind it is an empty section, not a fault: all its keys may be commented out. */
function withoutEmptySections(schema: unknown, data: unknown): unknown {
  if (Array.isArray(data)) return data.map((item, index) => withoutEmptySections(child(schema, index), item));
  if (!isPlainMap(data)) return data;
  const kept: [string, unknown][] = [];
  for (const [key, value] of Object.entries(data)) {
    const inner = child(schema, key);
    if (value === null && (isMap(inner) || isList(inner))) continue;
    kept.push([key, withoutEmptySections(inner, value)]);
  }
  return Object.fromEntries(kept);
}

/** Removes what is at the path; where there is nothing, what would contain it. False if that is the root. */
function removeNearest(data: unknown, path: KeyPath): boolean {
  const depth = path.findLastIndex((_, index) => valueAt(data, path.slice(0, index + 1)) !== undefined);
  const key = path[depth];
  if (key === undefined) return false;
  const owner = valueAt(data, path.slice(0, depth)) as object;
  if (Array.isArray(owner)) owner.splice(Number(key), 1);
  else Reflect.deleteProperty(owner, key);
  return true;
}

/** What a value is, as short text; a secret's value is not shown. */
function describeValue(value: unknown, path: KeyPath): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a map';
  if (isSecret(path)) return 'a value (hidden)';
  if (typeof value !== 'string') return JSON.stringify(value);
  const shown = value.replaceAll(/\/\/[^@/\s]*@/g, '//(hidden)@');
  return JSON.stringify(shown.length > 60 ? `${shown.slice(0, 59)}…` : shown);
}

/** The faults that the schema finds in plain data, each in terms of its key. */
function keyFaults(schema: z.ZodType, data: unknown, issues: readonly z.core.$ZodIssue[]): KeyFault[] {
  return issues.flatMap((issue) => {
    const path = issue.path as KeyPath;
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownKey(schema, data, path, key));
    }
    if (issue.code === 'invalid_key') {
      const expected = issue.issues[0]?.message ?? issue.message;
      return [{ path, found: describeValue(path.at(-1), []), expected }];
    }
    const value = valueAt(data, path);
    const chosen = issue.code === 'invalid_union' ? chosenOption(issue, value) : undefined;
    if (chosen !== undefined) {
      const nested = chosen.map((inner) => ({ ...inner, path: [...path, ...inner.path] }));
      return keyFaults(schema, data, nested);
    }
    const plain = keyFault(path, describeValue(value, path), issue.message);
    return [nestedWriting(schema, path, value) ?? bareBraces(path, value) ?? plain];
  });
}

/** Of a union's options the one that got furthest into the value: what the person was writing. */
function chosenOption(issue: z.core.$ZodIssueInvalidUnion, value: unknown) {
  if (typeof value !== 'object' || value === null) return undefined;
  return issue.errors.find((option) =>
    option.every(({ path, code }) => path.length > 0 || code === 'unrecognized_keys'),
  );
}

/** A key that the schema doesn't know, with what was probably meant. */
function unknownKey(schema: z.ZodType, data: unknown, parent: KeyPath, key: string): KeyFault {
  const path = [...parent, key];
  const known = keysOf(schemaAt(schema, parent)) ?? [];
  const fault = (expected: string): KeyFault => keyFault(path, 'an unknown key', expected);

  const flat = flattened(key, valueAt(data, path)).find((name) => known.includes(name));
  if (flat !== undefined) return fault(`one key with dots, \`${flat}:\``);

  const nested = (inner: readonly string[]): boolean => inner.length > 1 && inner.join('.') === key;
  const below = fixedPaths(schemaAt(schema, parent)).find(nested);
  if (below !== undefined) {
    return fault(`\`${below.at(-1) ?? ''}:\` below \`${below.slice(0, -1).join(': ')}:\``);
  }

  const guess = nearest(key, known);
  if (guess !== undefined) return fault(`\`${guess}\` (did you mean that?)`);
  const elsewhere = fixedPaths(schema).find((inner) => inner.at(-1) === key && inner.length > 1);
  if (elsewhere !== undefined) return fault(`this key at \`${elsewhere.join(': ')}\``);
  return fault(`one of ${known.join(', ')}`);
}

/** The names that a nested map would have if written with dots: `linger: { ms: 1 }` is `linger.ms`. */
function flattened(key: string, value: unknown): string[] {
  if (!isPlainMap(value)) return [key];
  return Object.entries(value).flatMap(([inner, below]) => flattened(`${key}.${inner}`, below));
}

/** A map below a name of an open map of scalars: Kafka's dotted name, written nested. */
function nestedWriting(schema: z.ZodType, path: KeyPath, value: unknown): KeyFault | undefined {
  const key = path.at(-1);
  const parent = schemaAt(schema, path.slice(0, -1));
  if (typeof key !== 'string' || !isOpenMap(parent) || isMap(child(parent, key))) return undefined;
  if (!isPlainMap(value)) return undefined;
  const names = flattened(key, value).map((name) => `\`${name}:\``);
  return { path, found: 'a map', expected: `names with dots, ${names.join(', ')}` };
}

/** `device: {device}` without quotes: YAML reads a map with one key and no value. */
function bareBraces(path: KeyPath, value: unknown): KeyFault | undefined {
  if (!isPlainMap(value)) return undefined;
  const entries = Object.entries(value);
  const [name, inner] = entries[0] ?? [];
  if (entries.length !== 1 || name === undefined || inner !== null) return undefined;
  return { path, found: `a map, {${name}} without quotes`, expected: `"{${name}}" in quotes` };
}
