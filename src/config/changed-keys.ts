import { isDeepStrictEqual } from 'node:util';
import { keyText } from './faults.ts';
import type { KeyPath } from './schema-tree.ts';

/**
 * The keys whose values differ, as a person writes them, e.g. `mqtt.listeners`; a list counts as one value. Values
 * are not told: they may be secrets.
 */
export function changedKeys(before: unknown, after: unknown, path: KeyPath = []): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isMap(before) || !isMap(after)) return [keyText(path)];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => changedKeys(before[key], after[key], [...path, key]));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
