import { Command } from 'commander';
import { sizeThreadPool } from '../assembly/thread-pool.ts';
import { SluiceError, errorMessage } from '../core/errors.ts';
import { packageFacts } from './terminal/package-facts.ts';

sizeThreadPool(process.env);

/** Loaded when they are asked for: `sluice fleet` needs no gateway, and starts without loading one. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.ts')).runCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  audit: async () => (await import('../features/audit/command.ts')).auditCommand(),
  capture: async () => (await import('../features/capture/command.ts')).captureCommand(),
  dlq: async () => (await import('../features/dead-letters/command.ts')).dlqCommand(),
  explain: async () => (await import('../features/explain/explain-command.ts')).explainCommand(),
  plan: async () => (await import('../features/explain/plan-command.ts')).planCommand(),
  fleet: async () => (await import('../testbed/fleet/command.ts')).fleetCommand(),
  ledger: async () => (await import('./ledger.ts')).ledgerCommand(),
  tail: async () => (await import('../features/tail/command.ts')).tailCommand(),
  drill: async () => (await import('../testbed/drill/command.ts')).drillCommand(),
};

const { version, description } = packageFacts();
const program = new Command('sluice')
  .description(description)
  .version(version)
  .showHelpAfterError('(sluice --help shows all commands)');

const asked = COMMANDS[process.argv[2] ?? ''];
for (const load of asked === undefined ? Object.values(COMMANDS) : [asked]) {
  program.addCommand(await load());
}

try {
  await program.parseAsync();
} catch (error) {
  // A SluiceError is made to be read by a person; anything else is a defect and keeps its stack.
  const stack = error instanceof Error ? error.stack : undefined;
  const text = error instanceof SluiceError ? error.message : (stack ?? errorMessage(error));
  process.stderr.write(`sluice: ${text}\n`);
  process.exitCode = 1;
}
