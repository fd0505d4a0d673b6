import { Command } from 'commander';
import { findLetters, letterLogs, type FoundLetter } from './letters.ts';
import { errandOf, withSelection, type GivenPlaces, type LetterArguments } from './selection-options.ts';
import { LETTER_COLUMNS, letterJson, letterRow } from './letter-text.ts';
import { instantText } from '../../core/clock.ts';
import { printable, table } from '../../cli/terminal/terminal-text.ts';

interface ListArguments extends LetterArguments {
  readonly all?: boolean;
  readonly exitCode?: boolean;
}

/** Letters that are named one by one when nobody says how many. */
const LIMIT = 20;
/** Groups that are counted one by one; a hostile device could make any number of them. */
const GROUPS_MAX = 1_000;
/** What `--exit-code` says of open letters. */
const SOME_OPEN = 2;

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

/** `sluice dlq list`: how many dead letters there are, and why. */
export function listCommand(): Command {
  return withSelection(new Command('list'))
    .description('count dead letters by topic, type and reason, and name the oldest')
    .option('--all', 'those that are done too')
    .option('--exit-code', 'exit with 2 if there are open ones')
    .action(listLetters);
}

async function listLetters(where: GivenPlaces, options: ListArguments): Promise<void> {
  const { office, topics, selection } = errandOf(where, options);
  try {
    const { handled } = await office.readState();
    const groups = new Groups();
    const named: FoundLetter[] = [];
    const wants = options.all === true ? (['open', 'replayed', 'dropped'] as const) : (['open'] as const);
    const logs = await letterLogs(office.reader, topics);
    for await (const found of findLetters(office.reader, handled, logs, selection, wants)) {
      groups.add(found);
      if (named.length < (options.limit ?? LIMIT)) named.push(found);
    }
    process.stdout.write(options.json === true ? json(groups, named) : text(groups, named));
    if (options.exitCode === true && groups.open > 0) process.exitCode = SOME_OPEN;
  } finally {
    await office.close();
  }
}

/** Counts by topic, type and reason. */
class Groups {
  readonly #groups = new Map<string, Group>();
  open = 0;
  total = 0;

  add({ letter, state }: FoundLetter): void {
    const { topic, code, receivedAtMs } = letter;
    const type = letter.type ?? '';
    let key = JSON.stringify([topic, type, code]);
    if (!this.#groups.has(key) && this.#groups.size >= GROUPS_MAX) key = '';
    const group = this.#groups.get(key) ?? newGroup(key === '' ? ['(others)', '', ''] : [topic, type, code]);
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

function newGroup([topic, type, code]: readonly [string, string, string]): Group {
  return { topic, type, code, open: 0, replayed: 0, dropped: 0, firstMs: Infinity, lastMs: -Infinity };
}

function json(groups: Groups, named: readonly FoundLetter[]): string {
  const document = {
    open: groups.open,
    groups: groups.sorted(),
    letters: named.map((found) => letterJson(found)),
  };
  return `${JSON.stringify(document)}\n`;
}

function text(groups: Groups, named: readonly FoundLetter[]): string {
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
