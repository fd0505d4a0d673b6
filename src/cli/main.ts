import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { SluiceError, errorMessage } from '../core/errors.ts';
import { checkCommand } from './check.ts';
import { fleetCommand } from './fleet.ts';
import { runCommand } from './run.ts';
import { tailCommand } from './tail.ts';

const packageFile = new URL('../../package.json', import.meta.url);
const { version, description } = JSON.parse(readFileSync(packageFile, 'utf8')) as Record<string, string>;

const program = new Command('sluice')
  .description(description ?? '')
  .version(version ?? '')
  .showHelpAfterError('(sluice --help shows all commands)')
  .addCommand(runCommand())
  .addCommand(checkCommand())
  .addCommand(fleetCommand())
  .addCommand(tailCommand());

try {
  await program.parseAsync();
} catch (error) {
  // A SluiceError is made to be read by a person; anything else is a defect and keeps its stack.
  const known = error instanceof SluiceError;
  process.stderr.write(
    known ? `sluice: ${error.message}\n` : `sluice: ${(error as Error).stack ?? errorMessage(error)}\n`,
  );
  process.exitCode = 1;
}
