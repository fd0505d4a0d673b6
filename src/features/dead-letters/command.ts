import { Command } from 'commander';
import { dropCommand } from './drop-command.ts';
import { listCommand } from './list-command.ts';
import { replayCommand } from './replay-command.ts';
import { showCommand } from './show-command.ts';

/** `sluice dlq`: what could not be understood, and what becomes of it. */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('look at dead letters, replay them, drop them')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(replayCommand())
    .addCommand(dropCommand());
}
