// Writes what is generated in docs/: tables of keys, a page for each shipped device type, answers of commands.
//   npm run docs
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { currentPage as commandsPage, PAGES } from './documented-commands.ts';
import { currentPage as profilesPage } from './profile-reference.ts';

const docs = resolve(import.meta.dirname, '../docs');

writeFileSync(join(docs, 'profiles.md'), await profilesPage());
for (const page of PAGES) writeFileSync(resolve(docs, '..', page), commandsPage(page));
