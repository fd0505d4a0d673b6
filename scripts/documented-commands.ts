// Runs the commands that stand in a page's ```console blocks, and writes what they really answer below them.
//   node scripts/documented-commands.ts
// Each line that begins with `$ ` is a command, run in a copy of what a clone has; the lines behind it are its output.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

/** The pages whose commands are run; they need neither Kafka nor a gateway. */
export const PAGES = ['docs/check.md', 'docs/explain.md'];

const BLOCK = /```console\n([\s\S]*?)```/g;

/** The page with the output that its commands have now. */
export function currentPage(page: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-docs-'));
  try {
    for (const name of ['sluice.yaml', 'devices', 'proto', 'examples']) {
      cpSync(join(root, name), join(folder, name), { recursive: true });
    }
    // Readers type `npx sluice`; this is the same without looking for it.
    const bin = join(folder, '.bin');
    mkdirSync(bin);
    const main = join(root, 'src/cli/main.ts');
    writeFileSync(join(bin, 'npx'), `#!/bin/sh\nshift\nexec "${process.execPath}" "${main}" "$@"\n`);
    chmodSync(join(bin, 'npx'), 0o755);
    const text = readFileSync(join(root, page), 'utf8');
    return text.replaceAll(BLOCK, (_, block: string) => {
      const commands = block.split('\n').filter((line) => line.startsWith('$ '));
      const answers = commands.map((line) => `${line}\n${answerOf(line.slice(2), folder, bin)}`);
      return `\`\`\`console\n${answers.join('')}\`\`\``;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function answerOf(command: string, folder: string, bin: string): string {
  const { stdout, stderr } = spawnSync('sh', ['-c', command], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` },
  });
  return stdout + stderr;
}

if (import.meta.main) {
  for (const page of PAGES) writeFileSync(join(root, page), currentPage(page));
}
