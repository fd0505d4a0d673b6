import { Command } from 'commander';
import { printable } from '../../cli/terminal/terminal-text.ts';
import { placeText } from './dead-letter.ts';
import { findLetters, type FoundLetter } from './letters.ts';
import type { ReplayOutcome } from './replay.ts';
import { runErrand, withSelection, type Errand, type LetterArguments } from './selection-options.ts';

interface ReplayArguments extends LetterArguments {
  readonly dryRun?: boolean;
  readonly as?: string;
  readonly timestampNow?: boolean;
}

const EXAMPLES = `
Examples:
  sluice dlq replay --dry-run                          what today's profiles make of all of them
  sluice dlq replay --type env-sensor --since 2h       after the profile was mended
  sluice dlq replay telemetry.dlq/0/17                 a single one

Exits with 0 if all of them are done, 2 if some failed again and stay, 1 if it could not go on.
`;

const SOME_FAILED = 2;

/** `sluice dlq replay`: dead letters through today's profiles. */
export function replayCommand(): Command {
  return withSelection(new Command('replay'))
    .description("send dead letters through today's profiles, each once; those that fail again stay")
    .option('--dry-run', 'only say what would become of them')
    .option('--as <type>', 'apply the profile of this device type, whatever the dead letter says')
    .option('--timestamp-now', 'give the records the present time, where their own is past retention')
    .addHelpText('after', EXAMPLES)
    .action(runErrand(replayLetters));
}

async function replayLetters(errand: Errand, options: ReplayArguments): Promise<void> {
  const { office, selection } = errand;
  const { dryRun = false, json = false, limit = Infinity, as, timestampNow } = options;
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const logs = await errand.logs();
  const counts = { replayed: 0, 'would-replay': 0, filtered: 0, failed: 0 };
  const { replay, handled } = await office.openReplay({
    dryRun,
    as,
    timestampMs: timestampNow === true ? Date.now() : undefined,
    onOutcome: (found, outcome) => {
      counts[outcome.kind]++;
      process.stdout.write(json ? outcomeJson(found, outcome) : outcomeText(found, outcome));
    },
  });
  // Letters that an earlier replay had written, without living to say so.
  const recovered = await replay.recover();
  for (const log of logs) handled.forget(log, log.begin);
  let begun = 0;
  for await (const found of findLetters(office.reader, handled, logs, selection)) {
    if (interrupted.signal.aborted || begun++ === limit) break;
    await replay.add(found);
  }
  await replay.flush();
  const { replayed, filtered, failed, 'would-replay': wouldReplay } = counts;
  if (failed > 0) process.exitCode = SOME_FAILED;
  if (json) {
    const summary = { replayed, wouldReplay, filtered, failed, recovered };
    process.stdout.write(`${JSON.stringify({ summary })}\n`);
    return;
  }
  const done = dryRun ? `${wouldReplay} would be replayed` : `${replayed} replayed`;
  const cutOff =
    recovered === 0 ? '' : `; ${recovered} were found in Kafka, written by a replay that was cut off`;
  process.stdout.write(
    `${done}, ${filtered} filtered by their profiles, ${failed} failed and stay${cutOff}\n`,
  );
}

function outcomeJson({ letter }: FoundLetter, outcome: ReplayOutcome): string {
  return `${JSON.stringify({ place: placeText(letter), ...outcome })}\n`;
}

/** What goes well is only counted; with --dry-run it is what was asked for. */
function outcomeText({ letter }: FoundLetter, outcome: ReplayOutcome): string {
  if (outcome.kind === 'failed') {
    const { code, message } = outcome.fault;
    return `${placeText(letter)}  failed  ${printable(code)}: ${printable(message)}\n`;
  }
  return outcome.kind === 'would-replay' ? `${placeText(letter)}  to ${outcome.topics.join(', ')}\n` : '';
}
