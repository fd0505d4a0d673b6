import type { z } from 'zod';
import type { ConfigFault, ConfigWarning, KeyFault } from '../core/fault.ts';
import { child, fixedPaths, isMap, isOpenMap, keysOf, schemaAt, type KeyPath } from './schema-tree.ts';
import { nearest } from '../core/fault.ts';

/** A key's path as people write it, e.g. `mqtt.listeners[0].port`. */
export function keyText(path: KeyPath): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? key : `${text}.${key}`;
  }, '');
}

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

const SECRET =
  /passw|passphrase|secret|token|user\.info|credential|jaas|private|ssl\..*\.key$|sasl\.(?!mechanism)/i;

/** Whether the value at a key may be a secret, and is therefore never shown. */
export function isSecret(path: KeyPath): boolean {
  return SECRET.test(keyText(path));
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

/** The value at a path of plain data. */
export function valueAt(data: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((value, key) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    return (value as Record<string | number, unknown>)[key];
  }, data);
}

/** The faults that the schema finds in plain data, each in terms of its key. */
export function keyFaults(schema: z.ZodType, data: unknown, issues: readonly z.core.$ZodIssue[]): KeyFault[] {
  return issues.flatMap((issue) => {
    const path = issue.path as KeyPath;
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownKey(schema, data, path, key));
    }
    if (issue.code === 'invalid_key') {
      const expected = issue.issues[0]?.message ?? issue.message;
      return [{ path, found: describeValue(path.at(-1), []), expected }];
    }
    if (issue.code === 'invalid_union') {
      const nested = chosenOption(issue, valueAt(data, path));
      if (nested !== undefined) {
        return keyFaults(
          schema,
          data,
          nested.map((inner) => ({ ...inner, path: [...path, ...inner.path] })),
        );
      }
    }
    const value = valueAt(data, path);
    return [nestedWriting(schema, path, value) ?? bareBraces(path, value) ?? plainFault(path, value, issue)];
  });
}

function plainFault(path: KeyPath, value: unknown, issue: z.core.$ZodIssue): KeyFault {
  return { path, found: describeValue(value, path), expected: issue.message };
}

/** Of a union's options the one that got furthest into the value: what the person was writing. */
function chosenOption(
  issue: z.core.$ZodIssueInvalidUnion,
  value: unknown,
): readonly z.core.$ZodIssue[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return issue.errors.find((option) =>
    option.every(({ path, code }) => path.length > 0 || code === 'unrecognized_keys'),
  );
}

/** A key that the schema doesn't know, with what was probably meant. */
function unknownKey(schema: z.ZodType, data: unknown, parent: KeyPath, key: string): KeyFault {
  const path = [...parent, key];
  const known = keysOf(schemaAt(schema, parent)) ?? [];
  const fault = (expected: string): KeyFault => ({ path, found: 'an unknown key', expected });

  const flat = flattened(key, valueAt(data, path)).find((name) => known.includes(name));
  if (flat !== undefined) return fault(`one key with dots, \`${flat}:\``);

  const below = pathsBelow(schema, parent).find((inner) => inner.length > 1 && inner.join('.') === key);
  if (below !== undefined) {
    return fault(`\`${below.at(-1) ?? ''}:\` below \`${below.slice(0, -1).join(': ')}:\``);
  }

  const guess = nearest(key, known);
  if (guess !== undefined) return fault(`\`${guess}\` (did you mean that?)`);
  const elsewhere = [...fixedPaths(schema)].find((inner) => inner.at(-1) === key && inner.length > 1);
  if (elsewhere !== undefined) return fault(`this key at \`${elsewhere.join(': ')}\``);
  return fault(`one of ${known.join(', ')}`);
}

/** Paths below a map, through open maps one step: `kafka.producer.linger.ms` is `producer` + any name. */
function pathsBelow(schema: z.ZodType, parent: KeyPath): readonly (readonly string[])[] {
  return [...fixedPaths(schemaAt(schema, parent))];
}

/** The names that a nested map would have if written with dots: `linger: { ms: 1 }` is `linger.ms`. */
function flattened(key: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [key];
  return Object.entries(value).flatMap(([inner, below]) => flattened(`${key}.${inner}`, below));
}

/** A map below a name of an open map of scalars: Kafka's dotted name, written nested. */
function nestedWriting(schema: z.ZodType, path: KeyPath, value: unknown): KeyFault | undefined {
  const key = path.at(-1);
  const parent = schemaAt(schema, path.slice(0, -1));
  if (typeof key !== 'string' || !isOpenMap(parent) || isMap(child(parent, key))) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const names = flattened(key, value).map((name) => `\`${name}:\``);
  return { path, found: 'a map', expected: `names with dots, ${names.join(', ')}` };
}

/** `device: {device}` without quotes: YAML reads a map with one key and no value. */
function bareBraces(path: KeyPath, value: unknown): KeyFault | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  const [name, inner] = entries[0] ?? [];
  if (entries.length !== 1 || name === undefined || inner !== null) return undefined;
  return { path, found: `a map, {${name}} without quotes`, expected: `"{${name}}" in quotes` };
}
