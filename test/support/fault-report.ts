import type { FaultRow } from './fault-row.ts';

/** One run of one fault test, as it lies in `.cache/fault-trials.jsonl`. */
export interface FaultTrialResult {
  /** Of which run of vitest it was; runs sort by it. */
  readonly run: string;
  /** Date, UTC, as 2026-01-31. */
  readonly date: string;
  /** The source's git revision; `+`: with changes that were not committed. */
  readonly revision: string;
  /** Versions of Kafka and Node. */
  readonly kafka: string;
  readonly node: string;
  readonly file: string;
  readonly suite: string;
  /** The test's name, without its seed. */
  readonly scenario: string;
  readonly seed?: number | undefined;
  readonly passed: boolean;
  readonly seconds: number;
  /** Missing where a test doesn't count, or did not come so far. */
  readonly row?: FaultRow | undefined;
  /** What else it measured. */
  readonly note?: string | undefined;
}

const HEAD = `# Fault report

Written by \`npm run test:faults\`: real Kafka brokers are killed, stopped, cut off, reconfigured, and what they hold
afterwards is compared, record by record, with what was acknowledged. A seed repeats a run:
\`FAULT_SEEDS=17,4711 npm run test:faults -- -t 'part of a name'\`. Each scenario is shown as of its last run.

- **lost**: acknowledged, and not in Kafka. **wrong**: in Kafka with another key, time or value than was sent, or never
  sent. **twice**: copies in Kafka beyond the first. **disordered**: behind a later record of the same key.
- **refused**: records made to be refused by the broker, and refused. **answered**: called back, or acknowledged to the
  device, exactly once.
- **may be**: copies that are allowed, and each that is there has to be one of these. In tests of the gateway
  _acknowledged_ is by PUBACK, and a device that was cut off repeats what it has no PUBACK for, as MQTT has it; after a
  kill -9 the journal may bring again what Kafka took since the last checkpoint was written (one is due every second), and a
  second before it or before Kafka went away, for answers that were on their way.
- An empty cell: not counted at that revision, or nothing to count.
`;

/** The results of each scenario's last run, as Markdown. */
export function faultReport(results: readonly FaultTrialResult[]): string {
  const sections: string[] = [];
  const shown = lastRuns(results);
  for (const [suite, ofSuite] of Map.groupBy(shown, ({ suite }) => suite)) {
    const [{ file } = { file: '' }] = ofSuite;
    sections.push(`## ${capitalised(suite)}\n\n\`${file}\`\n`);
    const counted = ofSuite.filter(({ row }) => row !== undefined);
    if (counted.length > 0) sections.push(`${table(counted)}\n`);
    const noted = counted.filter(({ note }) => note !== undefined);
    if (noted.length > 0) sections.push(`${noted.map(noteLine).join('\n')}\n`);
    const others = ofSuite.filter(({ row }) => row === undefined);
    if (others.length > 0) sections.push(`${others.map(line).join('\n')}\n`);
  }
  return [HEAD, summary(shown), ...sections].join('\n');
}

/** Of each scenario what its last run said, by file. */
function lastRuns(results: readonly FaultTrialResult[]): readonly FaultTrialResult[] {
  const byScenario = Map.groupBy(results, ({ file, suite, scenario }) => [file, suite, scenario].join('\n'));
  return [...byScenario.values()]
    .flatMap((ofScenario) => {
      const [last] = ofScenario.map(({ run }) => run).toSorted((a, b) => b.localeCompare(a));
      return ofScenario.filter(({ run }) => run === last);
    })
    .toSorted((a, b) => a.file.localeCompare(b.file));
}

function summary(results: readonly FaultTrialResult[]): string {
  const rows = results.flatMap(({ row }) => (row === undefined ? [] : [row]));
  const sum = (count: (row: FaultRow) => number): string =>
    thousands(rows.reduce((total, row) => total + count(row), 0));
  const failed = results.filter(({ passed }) => !passed).length;
  const distinct = (of: (result: FaultTrialResult) => string): string => {
    const all = [...new Set(results.map(of))].toSorted();
    return all.length < 2 ? all.join('') : `${all[0] as string} to ${all.at(-1) as string}`;
  };
  return `${results.length} trials, ${failed} failed; ${sum((row) => row.acknowledged)} of ${sum((row) => row.records)} \
records acknowledged, ${sum((row) => row.lost)} lost, ${sum((row) => row.wrong ?? 0)} wrong, ${sum((row) => row.disordered)} disordered. ${distinct(
    ({ date }) => date,
  )}, Kafka ${distinct(({ kafka }) => kafka)}, Node ${distinct(({ node }) => node)}.
`;
}

const COLUMNS: readonly (readonly [string, (result: FaultTrialResult) => string])[] = [
  ['scenario', ({ scenario }) => scenario.replaceAll('|', '\\|')],
  ['seed', ({ seed }) => String(seed ?? '')],
  ['records', ({ row }) => count(row?.records)],
  ['acknowledged', ({ row }) => count(row?.acknowledged)],
  ['refused', ({ row }) => count(row?.refused)],
  ['lost', ({ row }) => count(row?.lost)],
  ['wrong', ({ row }) => count(row?.wrong)],
  ['twice', ({ row }) => count(row?.twice)],
  ['may be', ({ row }) => count(row?.mayBeTwice)],
  ['disordered', ({ row }) => count(row?.disordered)],
  ['answered', ({ row }) => count(row?.answeredOnce)],
  ['seconds', ({ seconds }) => seconds.toFixed(0)],
  ['result', ({ passed }) => (passed ? 'passed' : '**failed**')],
  ['revision', ({ revision }) => revision],
];

function table(results: readonly FaultTrialResult[]): string {
  const lines = [
    COLUMNS.map(([name]) => name),
    COLUMNS.map(([name]) => (name === 'scenario' ? '---' : '--:')),
    ...results.map((result) => COLUMNS.map(([, cell]) => cell(result))),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Below the table: what a row has no column for. */
function noteLine(result: FaultTrialResult): string {
  return `- ${nameOf(result)}: ${result.note ?? ''}`;
}

function line(result: FaultTrialResult): string {
  const { passed, seconds, revision, note } = result;
  const verdict = `${passed ? 'passed' : '**failed**'}: ${nameOf(result)} (${seconds.toFixed(0)} s, ${revision})`;
  return `- ${verdict}${note === undefined ? '' : `: ${note}`}`;
}

function nameOf({ scenario, seed }: FaultTrialResult): string {
  return seed === undefined ? scenario : `${scenario}, seed ${seed}`;
}

function count(value: number | undefined): string {
  return value === undefined ? '' : thousands(value);
}

function thousands(value: number): string {
  return value.toLocaleString('en-US');
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
