import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What changes with a file's content, as far as can be seen without reading it; of a folder, with any of the YAML
 * files in it. Links are followed: a mounted configuration is exchanged by moving a link. Never throws: that
 * something can't be looked at is a stamp too.
 */
export function stampOf(path: string): string {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return 'none';
    if (!stat.isDirectory()) return `${stat.mtimeMs} ${stat.size} ${stat.ino}`;
    return readdirSync(path)
      .filter((name) => /\.ya?ml$/i.test(name))
      .sort()
      .map((name) => `${name} ${stampOf(join(path, name))}`)
      .join('\n');
  } catch (error) {
    return String(error);
  }
}
