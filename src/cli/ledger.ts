import { Command } from 'commander';
import { errorMessage, SluiceError } from '../core/errors.ts';
import type { LedgerReport } from '../delivery/ledger/ledger.ts';
import { adminUrl } from './terminal/usable-config.ts';
import { printable, table } from './terminal/terminal-text.ts';

interface LedgerArguments {
  readonly url?: string;
  readonly json?: boolean;
  readonly config?: string;
}

const EXIT_CODES = `
Exits with 0 if every delivery is accounted for, 2 if not, 1 if no gateway answers.
`;

const NOT_SOUND = 2;

/** `sluice ledger`: the states of all deliveries of a running gateway. */
export function ledgerCommand(): Command {
  return new Command('ledger')
    .description('show what became of every delivery of the running gateway, and whether it balances')
    .option('--url <url>', "the gateway's admin port (default: as in the configuration)")
    .option('--json', 'as GET /api/ledger says it')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .addHelpText('after', EXIT_CODES)
    .action(showLedger);
}

async function showLedger(options: LedgerArguments): Promise<void> {
  const report = await fetchLedger(options.url ?? adminUrl(options.config));
  process.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : ledgerText(report));
  if (!report.ok) process.exitCode = NOT_SOUND;
}

/** @throws SluiceError GATEWAY_UNREACHABLE */
async function fetchLedger(url: string): Promise<LedgerReport> {
  try {
    const response = await fetch(new URL('/api/ledger', url));
    if (!response.ok) throw new Error(`it answered with status ${response.status}`);
    return (await response.json()) as LedgerReport;
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const problem = `no gateway answers at ${url} (${errorMessage(cause)}); start it, or name it with --url`;
    throw new SluiceError('GATEWAY_UNREACHABLE', problem, { cause: error });
  }
}

type Figures = LedgerReport['total'];

/** The names of states in a table for people. */
const STATE_NAMES: Readonly<Record<keyof Figures['states'], string>> = {
  produced: 'produced',
  deadLettered: 'dead-lettered',
  filtered: 'filtered',
  refused: 'refused',
  suppressed: 'duplicates suppressed',
  open: 'open in memory',
  openInJournal: 'open in journal',
  dropped: 'dropped by policy',
  damaged: 'damaged on disk',
  lostByContract: 'lost by contract',
};

/** A table by device type, and the equation of their sum. */
export function ledgerText({ ok, accounts, total }: LedgerReport): string {
  const states = Object.keys(STATE_NAMES) as (keyof Figures['states'])[];
  // A state that was never used needs no column.
  const shown = states.filter((state) => total.states[state] > 0 || state === 'produced' || state === 'open');
  const row = (figures: Figures): string[] => [
    String(figures.opened),
    ...shown.map((state) => String(figures.states[state])),
    String(figures.acknowledged),
    String(figures.acknowledgedButLost),
    figures.balanced ? 'yes' : `NO: the states make ${sumOf(figures)}`,
  ];
  const head = ['opened', ...shown.map((state) => STATE_NAMES[state]), 'acknowledged', 'lost', 'balanced'];
  const rows = accounts.map((account) => {
    const { type, route, contract } = account;
    return [printable(type), printable(route ?? '-'), contract ?? '-', ...row(account)];
  });
  const terms = states.map((state) => `${total.states[state]} ${STATE_NAMES[state]}`).join(' + ');
  return (
    table([['type', 'route', 'contract', ...head], ...rows, ['all', '', '', ...row(total)]]) +
    `\n${total.opened} opened ${total.balanced ? '=' : '≠'} ${terms}\n` +
    `acknowledged but lost: ${total.acknowledgedButLost}\n` +
    `verdict: ${ok ? 'ok' : 'NOT OK'}\n`
  );
}

function sumOf({ states }: Figures): number {
  return Object.values(states).reduce((sum, count) => sum + count, 0);
}
