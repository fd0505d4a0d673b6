import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { currentPage } from '../../scripts/profile-reference.ts';
import { profileKeys } from '../../src/config/profile-reference.ts';

test('docs/profiles.md has every key as the schema has it', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/profiles.md'), 'utf8');
  // `node scripts/profile-reference.ts` writes it anew.
  expect(page).toBe(await currentPage());
});

test('every key says what it is for', () => {
  const silent = profileKeys().filter(({ description }) => description === '');
  expect(silent.map(({ path }) => path)).toEqual([]);
  expect(profileKeys().filter(({ expected }) => expected === '')).toEqual([]);
});
