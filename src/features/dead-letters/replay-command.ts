import { Command } from 'commander';
import { placeText } from './dead-letter.ts';
import { findLetters, letterLogs, type FoundLetter } from './letters.ts';
import type { ReplayOutcome } from './replay.ts';
import { errandOf, withSelection, type GivenPlaces, type LetterArguments } from './selection-options.ts';
import { printable } from '../../cli/terminal/terminal-text.ts';

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
    .action(replayLetters);
}

async function replayLetters(where: GivenPlaces, options: ReplayArguments): Promise<void> {
  const { office, topics, selection } = errandOf(where, options);
  const report = new Report(options);
  const interrupted = new AbortController();
  const stop = (): void => {
    interrupted.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    const logs = await letterLogs(office.reader, topics);
    const { replay, store } = await office.openReplay({
      dryRun: options.dryRun === true,
      ...(options.as !== undefined && { as: options.as }),
      ...(options.timestampNow === true && { timestampMs: Date.now() }),
      onOutcome: (found, outcome) => {
        report.add(found, outcome);
      },
    });
    if (options.dryRun !== true) {
      report.recovered = await replay.recover();
      for (const log of logs) store.handled.forget(log, log.begin);
    }
    let left = options.limit ?? Infinity;
    for await (const found of findLetters(office.reader, store.handled, logs, selection, ['open'])) {
      if (interrupted.signal.aborted || left-- === 0) break;
      await replay.add(found);
    }
    await replay.flush();
  } finally {
    await office.close();
  }
  report.end();
}

/** Says what becomes of each letter, and of all of them. */
class Report {
  readonly #options: ReplayArguments;
  readonly #counts: Record<ReplayOutcome['kind'], number> = {
    replayed: 0,
    'would-replay': 0,
    filtered: 0,
    failed: 0,
  };
  /** Letters that an earlier replay had written, without living to say so. */
  recovered = 0;

  constructor(options: ReplayArguments) {
    this.#options = options;
  }

  add({ letter }: FoundLetter, outcome: ReplayOutcome): void {
    this.#counts[outcome.kind]++;
    if (this.#options.json === true) {
      process.stdout.write(`${JSON.stringify({ place: placeText(letter), ...outcome })}\n`);
      return;
    }
    // What goes well is counted; with --dry-run it is what was asked for.
    if (outcome.kind === 'replayed' || outcome.kind === 'filtered') return;
    process.stdout.write(`${placeText(letter)}  ${outcomeText(outcome)}\n`);
  }

  end(): void {
    const { replayed, filtered, failed, 'would-replay': would } = this.#counts;
    if (failed > 0) process.exitCode = SOME_FAILED;
    if (this.#options.json === true) {
      process.stdout.write(
        `${JSON.stringify({ summary: { replayed, wouldReplay: would, filtered, failed, recovered: this.recovered } })}\n`,
      );
      return;
    }
    const done = this.#options.dryRun === true ? `${would} would be replayed` : `${replayed} replayed`;
    const found =
      this.recovered === 0
        ? ''
        : `; ${this.recovered} were found in Kafka, written by a replay that was cut off`;
    process.stdout.write(
      `${done}, ${filtered} filtered by their profiles, ${failed} failed and stay${found}\n`,
    );
  }
}

function outcomeText(outcome: ReplayOutcome): string {
  switch (outcome.kind) {
    case 'failed':
      return `failed  ${printable(outcome.fault.code)}: ${printable(outcome.fault.message)}`;
    case 'would-replay':
      return `to ${outcome.topics.join(', ')}`;
    case 'replayed':
      return `replayed to ${outcome.records.map(placeText).join(', ')}`;
    case 'filtered':
      return 'filtered by its profile';
  }
}
