import { parseDocument as parseYaml } from 'yaml';
import type { ConfigFault } from '../core/fault.ts';
import {
  child,
  fixedPaths,
  isList,
  isMap,
  isOpenMap,
  keysOf,
  alternatives,
  type KeyPath,
} from './schema-tree.ts';
import { nearest } from './suggestion.ts';
import { z } from 'zod';

/*
 * SLUICE_KAFKA__PRODUCER__LINGER_MS=10 sets kafka.producer.linger.ms: `__` parts levels, `_` within a level
 * stands for `.`, `-` or `_`, case doesn't matter, a number is an index of a list. An empty variable counts
 * as unset, as compose files pass them.
 */

const PREFIX = /^SLUICE_/i;

/** What Kubernetes sets in every pod beside a service of the name sluice or sluice-…: none of ours. */
const SERVICE_LINK =
  /^SLUICE(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** The file's data with the environment's on top, and which variable set which key. */
export interface Overlay {
  readonly data: unknown;
  readonly variables: readonly { readonly path: KeyPath; readonly name: string }[];
  readonly faults: readonly ConfigFault[];
}

/** Lays the environment's SLUICE_ variables over `data`, which is left as it is. Never throws. */
export function overlayEnvironment(
  schema: z.ZodType,
  data: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): Overlay {
  const result = data === null || data === undefined ? {} : structuredClone(data);
  const variables: { path: KeyPath; name: string }[] = [];
  const faults: ConfigFault[] = [];
  for (const name of Object.keys(environment).sort()) {
    const value = environment[name];
    if (!PREFIX.test(name) || value === undefined || value === '') continue;
    const levels = name.replace(PREFIX, '').split('__');
    const path = resolveLevels(schema, result, levels);
    if (path === undefined) {
      if (SERVICE_LINK.test(name)) continue;
      faults.push(unknownVariable(schema, name));
    } else if (set(result, path, fromText(schemaOf(schema, path), value))) {
      variables.push({ path, name });
    } else {
      faults.push({
        file: 'environment',
        line: 0,
        key: name,
        found: 'an index past the end of the list, or a level that is no map or list in the file',
        expected: 'a key of the configuration, list items without gaps',
      });
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
    value =
      typeof value === 'object' && value !== null
        ? (value as Record<string | number, unknown>)[key]
        : undefined;
  }
  return path;
}

function resolveLevel(schema: unknown, data: unknown, level: string): string | number | undefined {
  const known = keysOf(schema)?.find((key) => normalised(key) === normalised(level));
  if (known !== undefined) return known;
  if (isList(schema)) return /^\d{1,4}$/.test(level) ? Number(level) : undefined;
  if (!isOpenMap(schema) || level === '') return undefined;
  // A name that the file has already, in the file's spelling; else as Kafka writes its names.
  const present = typeof data === 'object' && data !== null ? Object.keys(data) : [];
  return (
    present.find((key) => normalised(key) === normalised(level)) ?? level.toLowerCase().replaceAll('_', '.')
  );
}

function normalised(name: string): string {
  return name.toLowerCase().replaceAll(/[.-]/g, '_');
}

function schemaOf(schema: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((inner, key) => child(inner, key), schema);
}

/** Text stays text where only text fits; everything else is read as YAML, lists and maps included. */
function fromText(schema: unknown, text: string): unknown {
  const scalars = alternatives(schema).filter((option) => !isMap(option) && !isList(option));
  const wantsText =
    scalars.length > 0 &&
    scalars.every((option) => option instanceof z.ZodString || option instanceof z.ZodEnum);
  if (wantsText && !/^\s*[[{]/.test(text)) return text;
  const document = parseYaml(text);
  if (document.errors.length > 0) return text;
  const value: unknown = document.toJS();
  return value ?? text;
}

/** Sets what is at a path, making the maps and the next list item on the way. False where that can't be. */
function set(data: unknown, path: KeyPath, value: unknown): boolean {
  let owner = data;
  for (const [depth, key] of path.entries()) {
    if (typeof owner !== 'object' || owner === null) return false;
    if (Array.isArray(owner) !== (typeof key === 'number')) return false;
    if (Array.isArray(owner) && Number(key) > owner.length) return false;
    const map = owner as Record<string | number, unknown>;
    if (depth === path.length - 1) map[key] = value;
    else map[key] ??= typeof path[depth + 1] === 'number' ? [] : {};
    owner = map[key];
  }
  return true;
}

function unknownVariable(schema: z.ZodType, name: string): ConfigFault {
  const candidates = [...fixedPaths(schema)].map((path) => variableName(path));
  const guess = nearest(name, candidates);
  return {
    file: 'environment',
    line: 0,
    key: name,
    found: 'a variable that names no key',
    expected:
      guess === undefined ? 'SLUICE_ and a key, its levels joined by __' : `${guess} (did you mean that?)`,
  };
}

/** The variable that sets a key. */
export function variableName(path: KeyPath): string {
  return `SLUICE_${path.map((key) => String(key).toUpperCase().replaceAll(/[.-]/g, '_')).join('__')}`;
}
