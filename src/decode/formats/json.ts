import { isAscii, isUtf8 } from 'node:buffer';
import { treeFormat } from './tree-reader.ts';

/** JSON (RFC 8259). Every number is a double. V8 parses without recursion, so depth needs no limit. */
export const json = treeFormat(
  {
    name: 'JSON',
    contentType: 'application/json',
    parse(payload) {
      // A string of Latin-1 is made and parsed faster than one that has been through a UTF-8 decoder, which
      // would also hide invalid bytes behind U+FFFD.
      if (isAscii(payload)) return JSON.parse(payload.toString('latin1')) as unknown;
      if (!isUtf8(payload)) throw new Error('invalid UTF-8');
      return JSON.parse(payload.toString('utf8')) as unknown;
    },
    write,
    readsItsOwn: true,
  },
  write,
);

function write(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value ?? null), 'utf8');
}
