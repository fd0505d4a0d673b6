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
  while (!result.success && typeof rest === 'object' && rest !== null) {
    const paths = keyFaults(schema, rest, result.error.issues).map(({ path }) => path);
    if (paths.some((path) => path.length === 0)) break;
    const copy = structuredClone(rest);
    for (const path of paths) removeNearest(copy, path);
    rest = copy;
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

/** Removes what is at the path; where there is nothing, what would contain it. */
function removeNearest(data: object, path: KeyPath): void {
  let owner: Record<string | number, unknown> | undefined;
  let last: string | number = '';
  let value: unknown = data;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) break;
    owner = value as Record<string | number, unknown>;
    last = key;
    value = owner[key];
  }
  if (Array.isArray(owner)) owner.splice(Number(last), 1);
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- data of a person's file, copied
  else if (owner !== undefined) delete owner[last];
}
