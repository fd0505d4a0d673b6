import { Command } from 'commander';
import { Plan } from './plan.ts';
import { Rehearsal } from './rehearsal.ts';
import { readCapture } from '../capture/capture-file.ts';
import { wholeNumber } from '../../cli/terminal/option-values.ts';
import { planJson, planText, type PlanInput } from './plan-text.ts';

interface PlanArguments {
  readonly capture: string;
  readonly config: string;
  readonly against: string;
  readonly examples: number;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  sluice capture --out today.jsonl.gz --seconds 60
  sluice plan --capture today.jsonl.gz --config new/sluice.yaml
  sluice plan --capture today.jsonl.gz --config new/sluice.yaml --against old/sluice.yaml --json

Exits with 0 if nothing changes, 2 if something does, 1 if there is an error.
`;

const CHANGED = 2;

/** `sluice plan`: what another configuration would make of captured messages. */
export function planCommand(): Command {
  return new Command('plan')
    .description('perform captured messages with the present and a new configuration, and show what differs')
    .requiredOption('--capture <file>', 'a file of `sluice capture`')
    .requiredOption('-c, --config <file>', 'the new configuration file, its profiles beside it')
    .option('--against <file>', 'the present configuration file', 'sluice.yaml')
    .option('--examples <number>', 'messages that are shown of each change', wholeNumber(0), 3)
    .option('--json', 'one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(plan);
}

async function plan({ capture, config, against, examples, json }: PlanArguments): Promise<void> {
  const performed = new Plan(
    new Rehearsal(against, process.env),
    new Rehearsal(config, process.env),
    examples,
  );
  let missed = 0;
  let cut = false;
  for await (const entry of readCapture(capture)) {
    if (entry.kind === 'message') performed.perform(entry.message);
    else if (entry.kind === 'missed') missed += entry.messages;
    else if (entry.kind === 'cut') cut = true;
  }
  const report = performed.report();
  const input: PlanInput = { capture, present: against, next: config, missed, cut };
  process.stdout.write(json === true ? planJson(report, input) : planText(report, input));
  if (report.changedMessages > 0) process.exitCode = CHANGED;
}
