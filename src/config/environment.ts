import { parseDocument as parseYaml } from 'yaml';
import { z } from 'zod';
import { nearest, type ConfigFault } from '../core/fault.ts';
import {
  alternatives,
  child,
  fixedPaths,
  isList,
  isMap,
  isOpenMap,
  isPlainMap,
  keysOf,
  schemaAt,
  valueAt,
  type KeyPath,
} from './key.ts';

/*
 * SLUICE_KAFKA__PRODUCER__LINGER_MS=10 sets kafka.producer.linger.ms: `__` parts levels, `_` within a level
 * stands for `.`, `-` or `_`, case doesn't matter, a number is an index of a list. An empty variable counts
 * as unset, as compose files pass them.
 */

const PREFIX = /^SLUICE_/i;

/** What Kubernetes sets in every pod beside a service of the name sluice or sluice-…: none of ours. */
const SERVICE_LINK =
  /^SLUICE(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** A process's variables, or what stands for them. */
export type Environment = Readonly<NodeJS.Dict<string>>;

/** The file's data with the environment's on top, and which variable set which key. */
export interface Overlay {
  readonly data: unknown;
  readonly variables: readonly { readonly path: KeyPath; readonly name: string }[];
  readonly faults: readonly ConfigFault[];
}

/** Lays the environment's SLUICE_ variables over `data`, which is left as it is. Never throws. */
export function overlayEnvironment(schema: z.ZodType, data: unknown, environment: Environment): Overlay {
  const result = data === null || data === undefined ? {} : structuredClone(data);
  const variables: { path: KeyPath; name: string }[] = [];
  const faults: ConfigFault[] = [];
  for (const name of Object.keys(environment).sort()) {
    const value = environment[name];
    if (!PREFIX.test(name) || value === undefined || value === '') continue;
    const levels = name.replace(PREFIX, '').split('__');
    const path = resolveLevels(schema, result, levels);
    const refuse = (found: string, expected: string): void => {
      faults.push({ file: 'environment', line: 0, key: name, found, expected });
    };
    if (path === undefined) {
      if (!SERVICE_LINK.test(name)) refuse('a variable that names no key', likelyVariable(schema, name));
    } else if (fits(result, path)) {
      set(result, path, fromText(schemaAt(schema, path), value));
      variables.push({ path, name });
    } else {
      const found = 'an index past the end of the list, or a level that is no map or list in the file';
      refuse(found, 'a key of the configuration, list items without gaps');
    }
  }
  return { data: result, variables, faults };
}

function resolveLevels(schema: unknown, data: unknown, levels: readonly string[]): KeyPath | undefined {
  const path: (string | number)[] = [];
  let inner = schema;
  let value = data;
  for (const level of levels) {
    const key = resolveLevel(inner, value, level);
    if (key === undefined) return undefined;
    path.push(key);
    inner = child(inner, key);
    value = valueAt(value, [key]);
  }
  return path;
}

function resolveLevel(schema: unknown, data: unknown, level: string): string | number | undefined {
  const known = keysOf(schema)?.find((key) => normalised(key) === normalised(level));
  if (known !== undefined) return known;
  if (isList(schema)) return /^\d{1,4}$/.test(level) ? Number(level) : undefined;
  if (!isOpenMap(schema) || level === '') return undefined;
  // A name that the file has already, in the file's spelling; else as Kafka writes its names.
  const present = Object.keys(isPlainMap(data) ? data : {});
  const inFile = present.find((key) => normalised(key) === normalised(level));
  return inFile ?? level.toLowerCase().replaceAll('_', '.');
}

function normalised(name: string): string {
  return name.toLowerCase().replaceAll(/[.-]/g, '_');
}

/** Text stays text where only text fits; everything else is read as YAML, lists and maps included. */
function fromText(schema: unknown, text: string): unknown {
  const options = alternatives(schema);
  const scalars = options.filter((option) => !isMap(option) && !isList(option));
  const wantsText =
    scalars.length > 0 &&
    scalars.every((option) => option instanceof z.ZodString || option instanceof z.ZodEnum);
  if (wantsText && (scalars.length === options.length || !/^\s*[[{]/.test(text))) return text;
  const document = parseYaml(text);
  if (document.errors.length > 0) return text;
  const value: unknown = document.toJS();
  return value ?? text;
}

/** Whether a value can be set at a path: items of a list come one after the other, and text has no keys. */
function fits(data: unknown, path: KeyPath): boolean {
  let value = data;
  for (const [depth, key] of path.entries()) {
    // What isn't there yet will be made, lists with their first item.
    if (value === undefined || value === null)
      return path.slice(depth).every((k) => k === 0 || typeof k === 'string');
    if (typeof value !== 'object' || Array.isArray(value) !== (typeof key === 'number')) return false;
    if (Array.isArray(value) && Number(key) > value.length) return false;
    value = (value as Record<string | number, unknown>)[key];
  }
  return true;
}

/** Sets what is at a path that fits, making the maps and lists on the way. */
function set(data: unknown, path: KeyPath, value: unknown): void {
  let owner = data as Record<string | number, unknown>;
  for (const [depth, key] of path.entries()) {
    if (depth === path.length - 1) owner[key] = value;
    else owner[key] ??= typeof path[depth + 1] === 'number' ? [] : {};
    owner = owner[key] as Record<string | number, unknown>;
  }
}

/** Which variable was probably meant. */
function likelyVariable(schema: z.ZodType, name: string): string {
  // Without the prefix, which would make every variable similar to every other.
  const keys = fixedPaths(schema).map((path) => variableName(path).replace(PREFIX, ''));
  const guess = nearest(name.replace(PREFIX, ''), keys);
  return guess === undefined
    ? 'SLUICE_ and a key, its levels joined by __'
    : `SLUICE_${guess} (did you mean that?)`;
}

/** The variable that sets a key. */
export function variableName(path: KeyPath): string {
  return `SLUICE_${path.map((key) => String(key).toUpperCase().replaceAll(/[.-]/g, '_')).join('__')}`;
}
