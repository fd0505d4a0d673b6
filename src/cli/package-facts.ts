import { readFileSync } from 'node:fs';

/** What package.json says of this program; it lies two folders up from src/cli and from dist/cli alike. */
export function packageFacts(): { readonly version: string; readonly description: string } {
  const file = new URL('../../package.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as { version: string; description: string };
}
