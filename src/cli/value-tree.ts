import { instantText } from '../core/instant.ts';
import { hex, printable } from './terminal-text.ts';

/** Lines of a tree that are shown; a payload may hold thousands of readings. */
const MAX_LINES = 200;
const MAX_DEPTH = 30;
const MAX_CHARACTERS = 120;

/** Plain values as indented lines, one a value: objects, maps, lists, text, numbers, bytes. */
export function treeLines(value: unknown): string[] {
  const lines: string[] = [];
  write(value, '', 0, lines);
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `… and ${lines.length - MAX_LINES} more lines`];
}

function write(value: unknown, name: string, depth: number, lines: string[]): void {
  const indent = '  '.repeat(Math.max(0, depth - 1));
  const label = name === '' ? '' : `${name}: `;
  const members = membersOf(value);
  if (members === undefined || depth > MAX_DEPTH) {
    lines.push(`${indent}${label}${members === undefined ? scalarText(value) : '…'}`);
    return;
  }
  if (members.length === 0) {
    lines.push(`${indent}${label}${Array.isArray(value) ? '[]' : '{}'}`);
    return;
  }
  if (name !== '') lines.push(`${indent}${name}:`);
  for (const [key, inner] of members) write(inner, printable(key), depth + 1, lines);
}

/** undefined: it has none. */
function membersOf(value: unknown): [string, unknown][] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof Uint8Array || value instanceof Date) return undefined;
  if (value instanceof Map) return [...value].map(([key, inner]): [string, unknown] => [String(key), inner]);
  if (Array.isArray(value)) return value.map((inner, index): [string, unknown] => [`[${index}]`, inner]);
  return Object.entries(value).filter(([, inner]) => inner !== undefined);
}

/** A single value as it is shown: text in quotes, bytes in hexadecimal. */
export function scalarText(value: unknown): string {
  if (value instanceof Uint8Array) {
    return `${value.length} bytes ${hex(value)}`.trimEnd();
  }
  if (value instanceof Date) return instantText(value.getTime());
  if (typeof value === 'string') {
    return value.length > MAX_CHARACTERS
      ? `${JSON.stringify(value.slice(0, MAX_CHARACTERS).toWellFormed())}… (${value.length} characters)`
      : JSON.stringify(value);
  }
  return String(value);
}
