import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { currentPage } from '../../scripts/key-tables.ts';
import * as entry from '../../src/producer/index.ts';
import { Mistake } from '../../src/producer/api/mistakes.ts';

const root = resolve(import.meta.dirname, '../..');
const page = await readFile(join(root, 'docs/producer.md'), 'utf8');

describe('docs/producer.md', () => {
  it('has the settings as the table has them (npm run docs writes them)', async () => {
    expect(page).toBe(await currentPage('docs/producer.md'));
  });

  it('names every mistake that the producer notices', () => {
    for (const code of Object.values(Mistake)) expect(page).toContain(`\`${code}\``);
  });

  it('has examples that compile against the public entry', async () => {
    const examples = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => match[1]!);
    expect(examples.length).toBeGreaterThan(0);
    const folder = await mkdtemp(join(tmpdir(), 'sluice-docs-'));
    try {
      await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
      await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
      const from = `'${join(root, 'src/producer/index.ts')}'`;
      const files = examples.map((_, index) => `example-${index}.ts`);
      for (const [index, example] of examples.entries()) {
        await writeFile(join(folder, files[index]!), example.replaceAll("'sluice/producer'", from));
      }
      const config = { extends: join(root, 'tsconfig.json'), include: [], files };
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
        (error: unknown) => error as { stdout: string },
      );
      expect(stdout).toBe('');
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);

  it('and docs/serializers.md name nothing that the public entry does not have', async () => {
    const serializers = await readFile(join(root, 'docs/serializers.md'), 'utf8');
    const imported = [...(page + serializers).matchAll(/^import \{([^}]*)\} from 'sluice\/producer'/gms)]
      .flatMap((match) => match[1]!.split(','))
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '));
    expect(imported.filter((name) => !(name in entry))).toEqual([]);
  });
});
