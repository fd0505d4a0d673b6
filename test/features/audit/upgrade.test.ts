import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readAuditLog } from '../../../src/features/audit/log-reader.ts';
import { MemoryDirectory } from '../../durable-log/memory-directory.ts';

/*
 * data-0.1.0/ is an audit log that version 0.1.0 left behind, made with its own sources by a script: entries of several
 * partitions with and without an offset, a key, a value, one key longer than an entry keeps; a gap, because the buffer
 * was full; four segments; and in the last one a block that was written and never synced, without its last 9 bytes.
 * expected.json is what 0.1.0 itself read from it, bytes as base64.
 */
const folder = join(import.meta.dirname, 'data-0.1.0');

it('an audit log that version 0.1.0 wrote is read completely', async () => {
  const files = new MemoryDirectory();
  for (const name of readdirSync(folder)) {
    if (name !== 'expected.json') files.put(name, readFileSync(join(folder, name)));
  }
  const items: unknown[] = [];
  for await (const item of readAuditLog(files)) items.push(item);
  const plain = JSON.stringify(items, (_, value: unknown) =>
    isBuffer(value) ? Buffer.from(value.data).toString('base64') : value,
  );
  expect(JSON.parse(plain)).toEqual(JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')));
});

/** A Buffer as JSON.stringify hands it to its replacer. */
function isBuffer(value: unknown): value is { readonly data: readonly number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
}
