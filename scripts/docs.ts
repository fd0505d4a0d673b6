// Writes what is generated: tables of keys, JSON Schemas, a page for each shipped device type, answers of commands.
//   npm run docs
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { devicePages } from './device-pages.ts';
import { currentPage as commandsPage, PAGES } from './documented-commands.ts';
import { jsonSchemas } from './json-schemas.ts';
import { currentPage as keysPage, KEY_PAGES } from './key-tables.ts';

const root = resolve(import.meta.dirname, '..');

for (const [path, text] of [...(await jsonSchemas()), ...(await devicePages())]) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
for (const page of KEY_PAGES) writeFileSync(join(root, page), await keysPage(page));
for (const page of PAGES) writeFileSync(join(root, page), commandsPage(page));
