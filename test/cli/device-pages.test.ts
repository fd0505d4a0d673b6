import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { devicePages } from '../../scripts/device-pages.ts';

const root = resolve(import.meta.dirname, '../..');

// `npm run docs` writes them anew.
test('every shipped device type has a page in docs/devices/, as its profile and the code have it now', async () => {
  const pages = await devicePages();
  expect(globSync('docs/devices/*', { cwd: root }).sort()).toEqual([...pages.keys()].sort());
  for (const [path, text] of pages) expect(readFileSync(join(root, path), 'utf8'), path).toBe(text);
});

test('the samples of the pages become records, and none a dead letter', async () => {
  for (const [path, text] of await devicePages()) {
    if (path.endsWith('README.md')) continue;
    expect(text, path).toContain('becomes      a record');
    expect(text, path).not.toContain('dead letter\n');
  }
});
