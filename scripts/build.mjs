// Builds dist/, which is what a package ships: type stripping does not work under node_modules.
import { spawnSync } from 'node:child_process';
import { copyFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
rmSync(join(root, 'dist'), { recursive: true, force: true });
const { status } = spawnSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
// The one file beside the sources that they read at run time.
copyFileSync(join(root, 'src/testbed/local-kafka/pom.xml'), join(root, 'dist/testbed/local-kafka/pom.xml'));
process.exitCode = status ?? 1;
