import { Command } from 'commander';
import { findLetters, letterLogs } from './letters.ts';
import { errandOf, withSelection, type GivenPlaces, type LetterArguments } from './selection-options.ts';
import { letterJson, letterText } from './letter-text.ts';

const LIMIT = 10;
const NONE = 2;

/** `sluice dlq show`: dead letters with all that is known of them, and their bytes. */
export function showCommand(): Command {
  return withSelection(new Command('show'))
    .description('show dead letters: the reason, all headers, and the original bytes')
    .addHelpText('after', '\nExits with 2 if there is no such dead letter.\n')
    .action(showLetters);
}

async function showLetters(where: GivenPlaces, options: LetterArguments): Promise<void> {
  const { office, topics, selection } = errandOf(where, options);
  try {
    const { handled } = await office.readState();
    const logs = await letterLogs(office.reader, topics);
    let left = options.limit ?? LIMIT;
    const wants = ['open', 'replayed', 'dropped'] as const;
    for await (const found of findLetters(office.reader, handled, logs, selection, wants)) {
      const { log, letter } = found;
      const failures = handled.failures(log, letter.offset);
      const dropReason = handled.dropReason(log, letter.offset);
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(letterJson(found, { failedReplays: failures, dropReason }))}\n`
          : `${letterText(found, failures, dropReason)}\n`,
      );
      if (--left === 0) break;
    }
    if (left === (options.limit ?? LIMIT)) {
      process.stderr.write('no such dead letter\n');
      process.exitCode = NONE;
    }
  } finally {
    await office.close();
  }
}
