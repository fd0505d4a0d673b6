import { count } from '../../../cli/terminal/terminal-text.ts';
import { PHASES, faultsOf, type DrillResult } from './drill-result.ts';

/** A duration in the unit that a person would use. */
export function duration(ms: number | undefined): string {
  if (ms === undefined) return '-';
  if (ms < 1_000) return `${ms.toFixed(ms < 100 ? 1 : 0)} ms`;
  return `${(ms / 1_000).toFixed(ms < 100_000 ? 1 : 0)} s`;
}

export function settingText({ setting, sent }: DrillResult): string {
  const { contract, devices, rate, faultMs } = setting;
  return (
    `contract ${contract}; ${count(devices)} devices, ${count(rate)} messages/s, ${count(sent)} in all; ` +
    `fault of ${duration(faultMs)}`
  );
}

/** Name and value of everything that was found, as both reports show it. */
export function findings(result: DrillResult): [name: string, value: string][] {
  const { sent, acknowledged, verdict, deadLetters, moments, lostConnections, heldBack } = result;
  const { drainedMs, healedMs } = moments;
  const memory = memoryText(result);
  return [
    ['Sent', count(sent)],
    ['Acknowledged', acknowledged === sent ? `${count(acknowledged)}, all of them` : count(acknowledged)],
    [
      'In Kafka',
      `${count(verdict.records)} records${deadLetters > 0 ? `, ${count(deadLetters)} dead letters` : ''}`,
    ],
    ['Lost', count(verdict.lost.count)],
    ['Order faults', count(verdict.disordered.count)],
    ['Duplicates', duplicatesText(result)],
    ['Time to drain', drainedMs === undefined ? 'never' : duration(drainedMs - healedMs)],
    ['Held back', `${count(heldBack)} messages in the devices' own memory when the fault ended`],
    ['Connections', `${count(lostConnections)} lost`],
    ...(memory === undefined ? [] : [['Memory', memory] as [string, string]]),
  ];
}

function duplicatesText({ repeats }: DrillResult): string {
  const { resent, replayed, replayBound, unexplained } = repeats;
  if (resent + replayed + unexplained.count === 0) return '0';
  const parts: string[] = [];
  if (resent > 0) parts.push(`${count(resent)} sent again because their connection broke before the PUBACK`);
  if (replayed > 0) {
    parts.push(`${count(replayed)} read again from the journal after a kill (bound: ${count(replayBound)})`);
  }
  if (unexplained.count > 0) {
    parts.push(`${count(unexplained.count)} without an explanation`);
  }
  return parts.join('; ');
}

/** The gateway's resident memory before, in and after the trouble. */
function memoryText({ samples, moments }: DrillResult): string | undefined {
  const { faultMs, healedMs, drainedMs = Infinity } = moments;
  const most = (fromMs: number, toMs: number): number | undefined => {
    const sizes = samples.flatMap(({ atMs, residentBytes }) =>
      atMs >= fromMs && atMs < toMs && residentBytes !== undefined ? [residentBytes] : [],
    );
    return sizes.length === 0 ? undefined : Math.max(...sizes);
  };
  const parts = [
    ['before', most(-Infinity, faultMs)],
    ['during', most(faultMs, Math.max(healedMs, drainedMs === Infinity ? healedMs : drainedMs))],
    ['after', most(drainedMs, Infinity)],
  ] as const;
  const known = parts.flatMap(([name, bytes]) =>
    bytes === undefined ? [] : [`${name} ${(bytes / 2 ** 20).toFixed(0)} MB`],
  );
  return known.length === 0 ? undefined : `at most, ${known.join(', ')}`;
}

/** PUBACK percentiles: the head, and a row each. */
export function pubackRows({ puback }: DrillResult): [name: string, ...values: string[]][] {
  const rows = [
    ['p50', 'p50Ms'],
    ['p99', 'p99Ms'],
    ['p99.9', 'p999Ms'],
    ['max', 'maxMs'],
  ] as const;
  return [
    ['PUBACK after', ...PHASES],
    ...rows.map(([name, key]): [string, ...string[]] => [
      name,
      ...PHASES.map((phase) => duration(puback[phase][key])),
    ]),
  ];
}

const NAME_WIDTH = 16;
const COLUMN_WIDTH = 12;

/** One drill for a terminal, in lines that end with a newline. */
export function textReport(result: DrillResult): string {
  const faults = faultsOf(result);
  const events = result.events.map(
    ({ atMs, text }) => `${((atMs - result.startMs) / 1000).toFixed(1).padStart(7)} s  ${text}`,
  );
  const [head = ['PUBACK after'], ...rows] = pubackRows(result);
  const columns = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(NAME_WIDTH) : cell.padStart(COLUMN_WIDTH))).join('');
  return [
    `${result.scenario}: ${result.title}`,
    `  ${settingText(result)}`,
    '',
    ...events.map((line) => `  ${line}`),
    '',
    ...findings(result).map(([name, value]) => `  ${name.padEnd(NAME_WIDTH)}${value}`),
    '',
    `  ${columns(head)}`,
    ...rows.map(([name, ...values]) => `  ${columns([`  ${name}`, ...values])}`),
    '',
    ...(faults.length === 0 ? ['  PASSED'] : faults.map((fault) => `  FAILED: ${fault}`)),
    '',
  ].join('\n');
}
