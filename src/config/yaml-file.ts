import { readFileSync } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import { errorMessage, isMissing } from '../core/errors.ts';
import type { ConfigFault } from '../core/fault.ts';
import type { KeyPath } from './key.ts';

/** A YAML file of a person's, with the line of every key. */
export interface YamlFile {
  /** As the person knows it. */
  readonly file: string;
  /** The root as plain data; undefined where the file could not be read or has no sound syntax. */
  readonly data: unknown;
  /** What is wrong with the file as YAML. */
  readonly faults: readonly ConfigFault[];
  /** 1-based line of the key at the path, or of what is nearest above it. */
  lineOf(path: KeyPath): number;
}

/** Reads a YAML 1.2 file. What is wrong with it comes back as faults; never throws. */
export function readYamlFile(file: string): YamlFile {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    const found = isMissing(error) ? 'no such file' : errorMessage(error);
    return broken(file, [{ file, line: 0, key: '', found, expected: 'a YAML file that can be read' }]);
  }

  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  const faults = document.errors.map(({ code, message, pos }): ConfigFault => {
    const line = lineAt(pos[0]);
    if (code !== 'DUPLICATE_KEY')
      return { file, line, key: '', found: `YAML that can't be read: ${message}`, expected: 'YAML 1.2' };
    const key = /^[^\s:]+/.exec(source.slice(pos[0]))?.[0] ?? '';
    return { file, line, key, found: 'the same key a second time', expected: 'every key once' };
  });
  if (document.errors.some(({ code }) => code !== 'DUPLICATE_KEY')) return broken(file, faults);

  let data: unknown;
  try {
    data = document.toJS();
  } catch (error) {
    // An alias without its anchor, or aliases that multiply without end.
    faults.push({ file, line: 0, key: '', found: errorMessage(error), expected: 'aliases that resolve' });
    return broken(file, faults);
  }
  return { file, data, faults, lineOf: (path) => lineOfKey(document, path, lineAt) };
}

function broken(file: string, faults: readonly ConfigFault[]): YamlFile {
  return { file, data: undefined, faults, lineOf: () => 0 };
}

function lineOfKey(document: Document.Parsed, path: KeyPath, lineAt: (offset: number) => number): number {
  let node: Node | null | undefined = document.contents;
  let line = node?.range ? lineAt(node.range[0]) : 1;
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document);
    let next: unknown;
    if (isMap(node)) {
      // Of a key that stands twice the last one counts, as in the data.
      const pair = node.items.findLast(
        (item) => String(isScalar(item.key) ? item.key.value : item.key) === String(key),
      );
      if (pair === undefined) return line;
      if (isScalar(pair.key) && pair.key.range) line = lineAt(pair.key.range[0]);
      next = pair.value;
    } else if (isSeq(node)) {
      next = node.items[Number(key)];
      if (next === undefined) return line;
      const range = (next as Node).range;
      if (range) line = lineAt(range[0]);
    } else {
      return line;
    }
    node = next as Node | null;
  }
  return line;
}
