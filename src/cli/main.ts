import { Command } from 'commander';
import { SluiceError, errorMessage } from '../core/errors.ts';
import { checkCommand } from './check.ts';
import { fleetCommand } from './fleet.ts';
import { packageFacts } from './package-facts.ts';
import { runCommand } from './run.ts';
import { tailCommand } from './tail.ts';

const { version, description } = packageFacts();

const program = new Command('sluice')
  .description(description)
  .version(version)
  .showHelpAfterError('(sluice --help shows all commands)')
  .addCommand(runCommand())
  .addCommand(checkCommand())
  .addCommand(fleetCommand())
  .addCommand(tailCommand());

try {
  await program.parseAsync();
} catch (error) {
  // A SluiceError is made to be read by a person; anything else is a defect and keeps its stack.
  const stack = error instanceof Error ? error.stack : undefined;
  const text = error instanceof SluiceError ? error.message : (stack ?? errorMessage(error));
  process.stderr.write(`sluice: ${text}\n`);
  process.exitCode = 1;
}
