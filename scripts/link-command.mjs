// Makes `npx sluice` in a clone run this clone. npm links the commands of a project's dependencies into
// node_modules/.bin, but not the project's own, and npx may then look for a stranger's "sluice" in the registry.
// Runs after every npm ci and npm install (as the package's `prepare`), and from bootstrap.mjs.
import { existsSync, lstatSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export function linkCommand() {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const binFolder = join(root, 'node_modules', '.bin');
  // Nothing is installed: then there is nothing to run either.
  if (!existsSync(binFolder)) return;
  const link = join(binFolder, 'sluice');
  const target = relative(binFolder, join(root, 'bin', 'sluice.js'));
  const existing = lstatSync(link, { throwIfNoEntry: false });
  if (existing?.isSymbolicLink() && readlinkSync(link) === target) return;
  if (existing !== undefined) rmSync(link);
  symlinkSync(target, link);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) linkCommand();
