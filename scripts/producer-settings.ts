// Writes the table of the producer's settings into docs/producer.md, from the table that the program uses.
//   node scripts/producer-settings.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { SETTINGS, UNSUPPORTED } from '../src/producer/config/config-table.ts';
import { SECURITY_SETTINGS } from '../src/producer/config/security-table.ts';

const page = join(import.meta.dirname, '..', 'docs', 'producer.md');

/** docs/producer.md with the table as it should be. */
export async function currentPage(): Promise<string> {
  const text = readFileSync(page, 'utf8');
  const marked = /(<!-- settings: [^\n]* -->\n).*(<!-- \/settings -->)/s;
  if (!marked.test(text)) throw new Error(`${page} has no place for the settings`);
  const filled = text.replace(marked, (_, begin: string, end: string) => `${begin}\n${table()}\n${end}`);
  return format(filled, { ...(await resolveConfig(page)), filepath: page });
}

function table(): string {
  const security = new Set<string>(Object.values(SECURITY_SETTINGS).map(({ name }) => name));
  const rows = Object.values(SETTINGS)
    .filter(({ name }) => !security.has(name))
    .map(
      ({ name, type, default: value, meaning }) =>
        `| \`${name}\` | ${cell(type.expected)} | ${cell(shown(name, value))} | ${cell(meaning)} |`,
    );
  const absent = Object.entries(UNSUPPORTED).map(([name, why]) => `- \`${name}\`: ${why}`);
  return [
    '| Name | Values | Default | Meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    "Of Java's settings these have no place here:",
    '',
    ...absent,
    '',
  ].join('\n');
}

function shown(name: string, value: unknown): string {
  if (name === 'acks') return 'all';
  if (Array.isArray(value) && value.length === 0) return 'none: it must be set';
  return String(value);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (import.meta.main) writeFileSync(page, await currentPage());
