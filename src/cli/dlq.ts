import { Command } from 'commander';
import { dropCommand } from './dlq-drop.ts';
import { listCommand } from './dlq-list.ts';
import { replayCommand } from './dlq-replay.ts';
import { showCommand } from './dlq-show.ts';

/** `sluice dlq`: what could not be understood, and what becomes of it. */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('look at dead letters, replay them, drop them')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(replayCommand())
    .addCommand(dropCommand());
}
