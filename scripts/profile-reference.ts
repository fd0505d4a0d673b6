// Writes the tables of every key into docs/profiles.md, from the schema that profiles are checked by.
//   node scripts/profile-reference.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { profileReference } from '../src/config/profile-reference.ts';

const page = join(import.meta.dirname, '..', 'docs', 'profiles.md');
const MARK = '<!-- keys -->';

/** docs/profiles.md with the tables as they should be. */
export async function currentPage(): Promise<string> {
  const [before, ...rest] = readFileSync(page, 'utf8').split(MARK);
  if (before === undefined || rest.length === 0) throw new Error(`${page} has no place for the keys`);
  const filled = `${before}${MARK}\n\n${profileReference()}\n`;
  return format(filled, { ...(await resolveConfig(page)), filepath: page });
}

if (import.meta.main) writeFileSync(page, await currentPage());
