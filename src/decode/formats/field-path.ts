/**
 * Where in a payload a field stands: names with dots, `[n]` or a name of digits for an element, `["..."]` for a
 * name with dots or brackets in it, and one `[]` for "of each element": the payload then holds a reading for
 * each of them. `$` alone is the payload itself.
 */
export interface FieldPath {
  readonly text: string;
  /** Up to `[]`, or all of it. */
  readonly keys: readonly string[];
  /** Behind `[]`; undefined without one. */
  readonly inner: readonly string[] | undefined;
}

const STEP = /(?:^|\.)([^.[\]"]+)|\[(\d+)\]|\["([^"]*)"\]|(\[\])/y;

/** Parses a field's path. `problem` says what it should be like. */
function parseFieldPath(text: string): { readonly path: FieldPath } | { readonly problem: string } {
  if (text === '$') return { path: { text, keys: [], inner: undefined } };
  const keys: string[] = [];
  let inner: string[] | undefined;
  let position = 0;
  while (position < text.length) {
    STEP.lastIndex = position;
    const match = STEP.exec(text);
    if (match === null) return { problem: 'names with one dot between them, [n], ["name"] or []' };
    position = STEP.lastIndex;
    const [, name, index, quoted] = match;
    const key = name ?? index ?? quoted;
    if (key !== undefined) (inner ?? keys).push(key);
    else if (inner === undefined) inner = [];
    else return { problem: '[] once at most' };
  }
  return { path: { text, keys, inner } };
}

/** The paths of a profile's fields, parsed; those with `[]` go through the same list. */
export interface FieldPaths {
  readonly paths: readonly FieldPath[];
  /** The keys of the list whose elements are readings; undefined: the payload is one reading. */
  readonly list: readonly string[] | undefined;
}

/** Parses all paths. A problem comes with the index of its path. */
export function parseFieldPaths(texts: readonly string[]): {
  readonly paths: FieldPaths;
  readonly problems: readonly { readonly field: number; readonly found: string; readonly expected: string }[];
} {
  const paths: FieldPath[] = [];
  const problems: { field: number; found: string; expected: string }[] = [];
  let list: FieldPath | undefined;
  for (const [field, text] of texts.entries()) {
    const parsed = parseFieldPath(text);
    if ('problem' in parsed) {
      problems.push({ field, found: JSON.stringify(text), expected: parsed.problem });
      continue;
    }
    const { path } = parsed;
    paths.push(path);
    if (path.inner === undefined) continue;
    list ??= path;
    if (path.keys.join('\0') !== list.keys.join('\0')) {
      const expected = `the same list as ${list.text}: a payload has one list of readings`;
      problems.push({ field, found: text, expected });
    }
  }
  return { paths: { paths, list: list?.keys }, problems };
}
