// Writes what is generated in docs/: tables of keys, a page for each shipped device type, answers of commands.
//   npm run docs
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { devicePages } from './device-pages.ts';
import { currentPage as commandsPage, PAGES } from './documented-commands.ts';
import { currentPage as profilesPage } from './profile-reference.ts';

const docs = resolve(import.meta.dirname, '../docs');

writeFileSync(join(docs, 'profiles.md'), await profilesPage());
mkdirSync(join(docs, 'devices'), { recursive: true });
for (const [path, text] of await devicePages()) writeFileSync(resolve(docs, '..', path), text);
for (const page of PAGES) writeFileSync(resolve(docs, '..', page), commandsPage(page));
