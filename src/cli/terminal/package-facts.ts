import { readFileSync } from 'node:fs';

/** What package.json says of this program; it lies three folders up from here in src/ and in dist/ alike. */
export function packageFacts(): { readonly version: string; readonly description: string } {
  const file = new URL('../../../package.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as { version: string; description: string };
}
