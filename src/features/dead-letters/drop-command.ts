import { Command } from 'commander';
import { SluiceError } from '../../core/errors.ts';
import { placeText } from './dead-letter.ts';
import { findLetters, letterLogs } from './letters.ts';
import { errandOf, withSelection, type GivenPlaces, type LetterArguments } from './selection-options.ts';

interface DropArguments extends LetterArguments {
  readonly reason: string;
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly delete?: boolean;
}

const EXAMPLES = `
Examples:
  sluice dlq drop --code UNROUTED --reason 'test device, switched off'
  sluice dlq drop telemetry.dlq/0/17 --reason 'seen, nothing lost'
  sluice dlq drop --all --until 30d --reason 'too old' --delete

A dropped dead letter stays in Kafka until its topic's retention, or --delete, takes it.
`;

/** Letters that are marked before it is written down. */
const AT_ONCE = 10_000;
const REASON_MAX = 200;

/** `sluice dlq drop`: dead letters that nobody needs any more. */
export function dropCommand(): Command {
  return withSelection(new Command('drop'))
    .description('mark dead letters as done without replaying them')
    .requiredOption('--reason <text>', 'why; it is remembered with them', (text) => text.slice(0, REASON_MAX))
    .option('--all', 'all open ones, where no filter and no place is given')
    .option('--delete', 'have Kafka delete what is done at the front of each partition')
    .option('--dry-run', 'only say which')
    .addHelpText('after', EXAMPLES)
    .action(dropLetters);
}

async function dropLetters(where: GivenPlaces, options: DropArguments): Promise<void> {
  const { office, topics, selection, isNarrowed } = errandOf(where, options);
  if (!isNarrowed && options.all !== true) {
    throw new SluiceError('NOTHING_SELECTED', 'say which dead letters: places, filters, or --all');
  }
  const { reason, dryRun = false } = options;
  let dropped = 0;
  let deleted = 0;
  try {
    const logs = await letterLogs(office.reader, topics);
    const state = dryRun ? undefined : await office.openState();
    const store = state?.store ?? (await office.readState());
    // Letters that a replay was writing when it died may be in Kafka: dropping them would hide that.
    if (store.attempt !== undefined) {
      throw new SluiceError(
        'DLQ_REPLAY_UNFINISHED',
        'a replay was cut off: run `sluice dlq replay` first, which finds out what it has written',
      );
    }
    const atMs = Date.now();
    for await (const { letter, log } of findLetters(office.reader, store.handled, logs, selection, [
      'open',
    ])) {
      if (dropped === (options.limit ?? Infinity)) break;
      store.handled.markDropped(log, letter.offset, reason, atMs);
      dropped++;
      if (options.json === true) process.stdout.write(`${JSON.stringify({ place: placeText(letter) })}\n`);
      else if (dryRun) process.stdout.write(`${placeText(letter)}\n`);
      if (!dryRun && dropped % AT_ONCE === 0) {
        state?.seat.assertHeld();
        await store.finish();
      }
    }
    if (!dryRun) {
      state?.seat.assertHeld();
      await store.finish();
      if (options.delete === true) deleted = await office.deleteDone(store, logs);
    }
  } finally {
    await office.close();
  }
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ summary: { dropped, deleted, dryRun } })}\n`);
    return;
  }
  const gone = options.delete === true && !dryRun ? `; ${deleted} records deleted from Kafka` : '';
  process.stdout.write(`${dropped} ${dryRun ? 'would be dropped' : 'dropped'}${gone}\n`);
}
