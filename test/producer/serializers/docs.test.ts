import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { RegistryServer } from '../schema-registry/registry-server.ts';

const run = promisify(execFile);
const project = resolve(import.meta.dirname, '../../..');

/** A module that stands for `sluice/producer`: everything of the two folders that the page is about. */
function producerEntry(): string {
  return globSync(['src/producer/serializers/*.ts', 'src/producer/schema-registry/*.ts'], { cwd: project })
    .map((file) => `export * from ${JSON.stringify(join(project, file))};\n`)
    .join('');
}

it('docs/serializers.md: every example compiles and runs', async () => {
  const page = await readFile(join(project, 'docs/serializers.md'), 'utf8');
  const examples = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => match[1]!);
  expect(examples.length).toBeGreaterThan(5);

  const folder = await mkdtemp(join(tmpdir(), 'sluice-docs-'));
  await using server = await new RegistryServer().start();
  try {
    await symlink(join(project, 'node_modules'), join(folder, 'node_modules'));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    await writeFile(join(folder, 'producer.ts'), producerEntry());
    const files = await Promise.all(
      examples.map(async (example, index) => {
        const file = `example-${index}.ts`;
        const text = example
          .replaceAll("'sluice/producer'", "'./producer.ts'")
          .replaceAll('http://localhost:8081', server.url);
        await writeFile(join(folder, file), text);
        return file;
      }),
    );
    await writeFile(join(folder, 'all.ts'), files.map((file) => `import './${file}';\n`).join(''));
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: join(project, 'tsconfig.json'), include: [], files: ['all.ts'] }),
    );
    await run(process.execPath, ['all.ts'], { cwd: folder });
    const tsc = join(project, 'node_modules/typescript/bin/tsc');
    const { stdout } = await run(process.execPath, [tsc, '-p', folder], { cwd: folder }).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(stdout).toBe('');
  } finally {
    await rm(folder, { recursive: true });
  }
}, 120_000);
