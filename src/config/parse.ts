import type { z } from 'zod';
import type { KeyFault } from '../core/fault.ts';
import { keyFaults } from './faults.ts';
import { child, isList, isMap, type KeyPath } from './schema-tree.ts';

/**
 * Validates plain data. Besides every fault, returns what is left when the faulty keys are taken away, so
 * that later stages can look for their faults in the same run; undefined where that lacks a key that must be.
 */
export function parseDocument<T extends z.ZodType>(
  schema: T,
  data: unknown,
): { readonly value: z.infer<T> | undefined; readonly faults: KeyFault[] } {
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
  if (typeof data !== 'object' || data === null) return data;
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
  let owner: unknown;
  let last: string | number = '';
  let value = data;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) break;
    owner = value;
    last = key;
    value = (value as Record<string | number, unknown>)[key];
  }
  if (Array.isArray(owner)) owner.splice(Number(last), 1);
  else if (typeof owner === 'object' && owner !== null) Reflect.deleteProperty(owner, last);
  else return false;
  return true;
}
