import { z } from 'zod';

/** A key's path: names of maps' keys, indexes of lists' items. */
export type KeyPath = readonly (string | number)[];

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
export function* fixedPaths(schema: unknown, path: readonly string[] = []): Generator<readonly string[]> {
  for (const key of keysOf(schema) ?? []) {
    const inner = [...path, key];
    yield inner;
    yield* fixedPaths(child(schema, key), inner);
  }
}
