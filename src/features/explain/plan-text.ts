import { instantText } from '../../core/clock.ts';
import type { ChangeGroup, PlanReport } from './plan.ts';
import { count, printable } from '../../cli/terminal/terminal-text.ts';

/** What a plan was made of. */
export interface PlanInput {
  readonly capture: string;
  readonly present: string;
  readonly next: string;
  /** Messages that the capture itself has missed. */
  readonly missed: number;
  /** Whether the capture has lost its end. */
  readonly cut: boolean;
}

/** A plan for people. */
export function planText(report: PlanReport, input: PlanInput): string {
  const { messages, changedMessages, groups, ungrouped } = report;
  const lines = [...headLines(report, input), '', ...topicLines(report), ''];
  if (changedMessages === 0) lines.push('nothing changes');
  else {
    const share = `${count(changedMessages)} of ${count(messages)} messages change`;
    lines.push(`${share}; ${count(report.newFailures)} records fail anew, ${count(report.mended)} no longer`);
  }
  let type: string | undefined = '';
  for (const group of groups) {
    if (group.type !== type) lines.push('', group.type ?? '(no profile)');
    type = group.type;
    lines.push(...groupLines(group));
  }
  if (ungrouped > 0) lines.push('', `and ${count(ungrouped)} more changes of other kinds`);
  return `${lines.join('\n')}\n`;
}

/** A plan as one JSON object. */
export function planJson({ firstAtMs, lastAtMs, ...report }: PlanReport, input: PlanInput): string {
  const times = { first: isoTime(firstAtMs), last: isoTime(lastAtMs) };
  return `${JSON.stringify({ ...input, ...times, ...report }, null, 2)}\n`;
}

function headLines(
  { messages, firstAtMs, lastAtMs, unseen }: PlanReport,
  { capture, present, next, missed, cut }: PlanInput,
): string[] {
  const span = firstAtMs === undefined ? '' : `, ${isoTime(firstAtMs) ?? ''} to ${isoTime(lastAtMs) ?? ''}`;
  return [
    `${count(messages)} messages of ${capture}${span}`,
    ...(missed > 0
      ? [`the capture has missed ${count(missed)} messages: what devices said there counts for nothing`]
      : []),
    ...(cut ? ['the capture has lost its end'] : []),
    `present  ${present}`,
    `new      ${next}`,
    ...(unseen.length > 0 ? [`no message of the capture is for ${unseen.join(', ')}`] : []),
  ];
}

function topicLines({ topics }: PlanReport): string[] {
  const width = Math.max(12, ...topics.map(({ topic }) => topic.length));
  const row = (topic: string, present: string, next: string, change: string): string =>
    `${topic.padEnd(width)}${present.padStart(12)}${next.padStart(12)}${change.padStart(12)}`.trimEnd();
  return [
    row('Kafka topic', 'present', 'new', ''),
    ...topics.map(({ topic, present, next }) => {
      const change = next - present;
      const sign = change > 0 ? '+' : '';
      return row(topic, count(present), count(next), change === 0 ? '' : `${sign}${count(change)}`);
    }),
  ];
}

function groupLines({ what, from, to, records, examples }: ChangeGroup): string[] {
  const alike = from !== undefined && to !== undefined;
  const title = alike ? `${what}: ${from} -> ${to}` : what;
  const width = Math.max(0, ...examples.map(({ index }) => String(index).length));
  return [
    `  ${printable(title)}  (${count(records)} ${records === 1 ? 'record' : 'records'})`,
    ...examples.map(({ index, topic, ...example }) => {
      const place = `    #${String(index).padEnd(width)} ${printable(topic)}`;
      return alike ? place : `${place}  ${printable(example.from)} -> ${printable(example.to)}`;
    }),
  ];
}

function isoTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : instantText(ms);
}
