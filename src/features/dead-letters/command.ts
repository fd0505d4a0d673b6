import { Command } from 'commander';
import { printable, table } from '../../cli/terminal/terminal-text.ts';
import { instantText } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { placeText } from './dead-letter.ts';
import { LETTER_COLUMNS, letterJson, letterRow, letterText } from './letter-text.ts';
import { findLetters, type FoundLetter } from './letters.ts';
import { replayCommand } from './replay-command.ts';
import { runErrand, withSelection, type Errand, type LetterArguments } from './selection-options.ts';

/** What `list --exit-code` says of open letters, and `show` of none. */
const EXIT_CODE = 2;
const ALL_STATES = ['open', 'replayed', 'dropped'] as const;

/** `sluice dlq`: what could not be understood, and what becomes of it. */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('look at dead letters, replay them, drop them')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(replayCommand())
    .addCommand(dropCommand());
}

interface ListArguments extends LetterArguments {
  readonly all?: boolean;
  readonly exitCode?: boolean;
}

/** Letters that are named one by one when nobody says how many. */
const LIST_LIMIT = 20;
/** Groups that are counted one by one; a hostile device could make any number of them. */
const GROUPS_MAX = 1_000;

/** How many dead letters there are, and why. */
function listCommand(): Command {
  return withSelection(new Command('list'))
    .description('count dead letters by topic, type and reason, and name the oldest')
    .option('--all', 'those that are done too')
    .option('--exit-code', 'exit with 2 if there are open ones')
    .action(runErrand(listLetters));
}

async function listLetters({ office, logs, selection }: Errand, options: ListArguments): Promise<void> {
  const handled = await office.readState();
  const groups = new Groups();
  const named: FoundLetter[] = [];
  const wants = options.all === true ? ALL_STATES : (['open'] as const);
  for await (const found of findLetters(office.reader, handled, await logs(), selection, wants)) {
    groups.add(found);
    if (named.length < (options.limit ?? LIST_LIMIT)) named.push(found);
  }
  process.stdout.write(options.json === true ? listJson(groups, named) : listText(groups, named));
  if (options.exitCode === true && groups.open > 0) process.exitCode = EXIT_CODE;
}

interface Group {
  readonly topic: string;
  readonly type: string;
  readonly code: string;
  open: number;
  replayed: number;
  dropped: number;
  firstMs: number;
  lastMs: number;
}

/** Counts by topic, type and reason. */
class Groups {
  readonly #groups = new Map<string, Group>();
  open = 0;
  total = 0;

  add({ letter, handling: { state } }: FoundLetter): void {
    const { topic, code, type = '', receivedAtMs } = letter;
    let key = JSON.stringify([topic, type, code]);
    if (!this.#groups.has(key) && this.#groups.size >= GROUPS_MAX) key = '';
    const named = key === '' ? { topic: '(others)', type: '', code: '' } : { topic, type, code };
    const none = { open: 0, replayed: 0, dropped: 0, firstMs: receivedAtMs, lastMs: receivedAtMs };
    const group = this.#groups.get(key) ?? { ...named, ...none };
    this.#groups.set(key, group);
    group[state]++;
    group.firstMs = Math.min(group.firstMs, receivedAtMs);
    group.lastMs = Math.max(group.lastMs, receivedAtMs);
    if (state === 'open') this.open++;
    this.total++;
  }

  /** The largest first. */
  sorted(): Group[] {
    return [...this.#groups.values()].sort((a, b) => b.open - a.open || b.replayed - a.replayed);
  }
}

function listJson(groups: Groups, named: readonly FoundLetter[]): string {
  const letters = named.map((found) => letterJson(found));
  return `${JSON.stringify({ open: groups.open, groups: groups.sorted(), letters })}\n`;
}

function listText(groups: Groups, named: readonly FoundLetter[]): string {
  if (groups.total === 0) return 'no dead letters\n';
  const counts = groups
    .sorted()
    .map(({ topic, type, code, open, replayed, dropped, firstMs, lastMs }) => [
      printable(topic),
      printable(type === '' ? '-' : type),
      printable(code),
      String(open),
      String(replayed),
      String(dropped),
      instantText(firstMs),
      instantText(lastMs),
    ]);
  const head = ['topic', 'type', 'reason', 'open', 'replayed', 'dropped', 'first received', 'last received'];
  const more = groups.total > named.length ? `… ${groups.total - named.length} more (--limit)\n` : '';
  return `${table([head, ...counts])}\n${table([LETTER_COLUMNS, ...named.map(letterRow)])}${more}`;
}

const SHOW_LIMIT = 10;

/** Dead letters with all that is known of them, and their bytes. */
function showCommand(): Command {
  return withSelection(new Command('show'))
    .description('show dead letters: the reason, all headers, and the original bytes')
    .addHelpText('after', '\nExits with 2 if there is no such dead letter.\n')
    .action(runErrand(showLetters));
}

async function showLetters({ office, logs, selection }: Errand, options: LetterArguments): Promise<void> {
  const handled = await office.readState();
  let shown = 0;
  for await (const found of findLetters(office.reader, handled, await logs(), selection, ALL_STATES)) {
    const { failures, dropped } = found.handling;
    const details = { failedReplays: failures, dropReason: dropped?.reason };
    const text = options.json === true ? JSON.stringify(letterJson(found, details)) : letterText(found);
    process.stdout.write(`${text}\n`);
    if (++shown === (options.limit ?? SHOW_LIMIT)) break;
  }
  if (shown > 0) return;
  process.stderr.write('no such dead letter\n');
  process.exitCode = EXIT_CODE;
}

interface DropArguments extends LetterArguments {
  readonly reason: string;
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly delete?: boolean;
}

const DROP_EXAMPLES = `
Examples:
  sluice dlq drop --code UNROUTED --reason 'test device, switched off'
  sluice dlq drop telemetry.dlq/0/17 --reason 'seen, nothing lost'
  sluice dlq drop --all --until 30d --reason 'too old' --delete

A dropped dead letter stays in Kafka until its topic's retention, or --delete, takes it.
`;

/** Letters that are marked before it is written down. */
const AT_ONCE = 10_000;
const REASON_MAX = 200;

/** Marks dead letters that nobody needs any more. */
function dropCommand(): Command {
  return withSelection(new Command('drop'))
    .description('mark dead letters as done without replaying them')
    .requiredOption('--reason <text>', 'why; it is remembered with them', (text) => text.slice(0, REASON_MAX))
    .option('--all', 'all open ones, where no filter and no place is given')
    .option('--delete', 'have Kafka delete what is done at the front of each partition')
    .option('--dry-run', 'only say which')
    .addHelpText('after', DROP_EXAMPLES)
    .action(runErrand(dropLetters));
}

async function dropLetters(errand: Errand, options: DropArguments): Promise<void> {
  const { office, selection, isNarrowed } = errand;
  if (!isNarrowed && options.all !== true) {
    throw new SluiceError('NOTHING_SELECTED', 'say which dead letters: places, filters, or --all');
  }
  const { reason, dryRun = false, json = false } = options;
  const logs = await errand.logs();
  const { handled, assertAlone } = dryRun
    ? { handled: await office.readState(), assertAlone: undefined }
    : await office.openState();
  // Letters that a replay was writing when it died may be in Kafka: dropping them would hide that.
  if (handled.attempt !== undefined) {
    throw new SluiceError(
      'DLQ_REPLAY_UNFINISHED',
      'a replay was cut off: run `sluice dlq replay` first, which finds out what it has written',
    );
  }
  const remember = async (): Promise<void> => {
    if (assertAlone === undefined) return;
    assertAlone();
    await handled.finish();
  };
  const atMs = Date.now();
  let dropped = 0;
  for await (const { letter, log } of findLetters(office.reader, handled, logs, selection)) {
    if (dropped === (options.limit ?? Infinity)) break;
    handled.markDropped(log, letter.offset, reason, atMs);
    dropped++;
    if (json) process.stdout.write(`${JSON.stringify({ place: placeText(letter) })}\n`);
    else if (dryRun) process.stdout.write(`${placeText(letter)}\n`);
    if (dropped % AT_ONCE === 0) await remember();
  }
  await remember();
  const deletes = options.delete === true && !dryRun;
  const deleted = deletes ? await office.deleteDone(handled, logs) : 0;
  if (json) {
    process.stdout.write(`${JSON.stringify({ summary: { dropped, deleted, dryRun } })}\n`);
    return;
  }
  const gone = deletes ? `; ${deleted} records deleted from Kafka` : '';
  process.stdout.write(`${dropped} ${dryRun ? 'would be dropped' : 'dropped'}${gone}\n`);
}
