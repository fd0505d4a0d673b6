import { Command } from 'commander';
import { drawBlueprint } from '../../assembly/blueprint.ts';
import { moment } from '../../cli/terminal/option-values.ts';
import { processLogger } from '../../cli/terminal/process-logger.ts';
import { printable } from '../../cli/terminal/terminal-text.ts';
import { refuseFaults } from '../../cli/terminal/usable-config.ts';
import { instantText, systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { NodeLogDirectory } from '../../durable-log/log-directory.ts';
import { TopicReader } from '../../kafka/connection/topic-reader.ts';
import { textOf } from '../tail/tail-record.ts';
import type { AuditEntry, AuditGap } from './audit-block.ts';
import { Comparison, type Difference, type DifferenceKind } from './comparison.ts';
import { readAuditLog } from './log-reader.ts';

interface AuditArguments {
  readonly since?: number;
  readonly until?: number;
  readonly directory?: string;
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly config?: string;
}

const EXAMPLES = `
Examples:
  sluice audit --since 1h
  sluice audit --since 2026-11-23T00:00:00Z --until 2026-11-24T00:00:00Z --json

Exits with 0 if Kafka holds all that was acknowledged, 2 if there is a difference, 1 if that can't be found out.
What Kafka has deleted from the beginning of its logs, as retention does, is a difference with --strict only.
`;

const DIFFERENT = 2;
/** Entries that are compared together: what is held in memory. */
const AT_ONCE = 100_000;

/** `sluice audit`: what was acknowledged, compared with what Kafka has. */
export function auditCommand(): Command {
  return new Command('audit')
    .description('compare what the audit log says was acknowledged with what is in Kafka')
    .option('--since <time>', 'acknowledged at this time or later: a date, or how long ago (2h, 3d)', moment)
    .option('--until <time>', 'acknowledged before', moment)
    .option('--directory <folder>', 'the audit log (default: audit.directory of the configuration)')
    .option('--strict', 'what retention has deleted counts as a difference')
    .option('--json', 'one JSON object a line: differences, then the verdict')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .addHelpText('after', EXAMPLES)
    .action(audit);
}

async function audit(options: AuditArguments): Promise<void> {
  const { faults, blueprint } = drawBlueprint(options.config, process.env);
  refuseFaults(faults);
  const directory = options.directory ?? blueprint.config.audit?.directory;
  if (directory === undefined) {
    const advice = 'set audit.directory, or name one with --directory';
    throw new SluiceError('NO_AUDIT_LOG', `no audit log is kept: ${advice}`);
  }
  const { producer: config, security } = blueprint;
  const logger = processLogger('warn', 'auto');
  const reader = new TopicReader({ config, security, clock: systemClock, logger });
  const report = new Report(options);
  try {
    await compareAll(directory, reader, report, options);
  } finally {
    await reader.close();
  }
  report.end();
}

async function compareAll(
  directory: string,
  reader: TopicReader,
  report: Report,
  { since = 0, until = Number.POSITIVE_INFINITY }: AuditArguments,
): Promise<void> {
  const comparison = new Comparison(reader, (difference) => report.differs(difference));
  let waiting: AuditEntry[] = [];
  for await (const item of readAuditLog(new NodeLogDirectory(directory))) {
    if (item.kind === 'entries') {
      const { entries } = item;
      report.logBegins(entries[0]?.timeMs);
      waiting.push(...entries.filter(({ timeMs }) => since <= timeMs && timeMs < until));
      if (waiting.length >= AT_ONCE) {
        await comparison.compare(waiting);
        waiting = [];
      }
    } else if (item.kind === 'gap') {
      const { gap } = item;
      if (gap.fromMs < until && gap.toMs >= since) report.gap(gap);
    } else if (item.kind === 'damage') report.damaged(item.segment, item.bytes);
    else report.unsyncedBytes += item.bytes;
  }
  await comparison.compare(waiting);
  await comparison.finish();
  report.judged = comparison.judged;
  report.notJudged += comparison.notJudged;
}

/** Every difference, and the verdict. */
class Report {
  readonly #options: AuditArguments;
  readonly #counts: Record<DifferenceKind, number> = { missing: 0, different: 0, deleted: 0, 'no-topic': 0 };
  #damagedBytes = 0;
  #firstMs = Number.POSITIVE_INFINITY;
  judged = 0;
  notJudged = 0;
  unsyncedBytes = 0;

  constructor(options: AuditArguments) {
    this.#options = options;
  }

  logBegins(timeMs: number | undefined): void {
    this.#firstMs = Math.min(this.#firstMs, timeMs ?? this.#firstMs);
  }

  differs({ kind, entry }: Difference): void {
    this.#counts[kind]++;
    const { topic, partition, offset, timeMs } = entry;
    const key = entry.key === null ? null : (textOf(entry.key) ?? entry.key.toString('hex'));
    const acknowledged = instantText(timeMs);
    const place = `${topic}/${partition}/${offset < 0 ? '?' : offset}`;
    const text = `${kind.padEnd(9)}  ${place}  key ${printable(key ?? '-')}  acknowledged ${acknowledged}`;
    // Of what retention takes there may be millions: they are counted.
    const isCounted = kind === 'deleted' && this.#options.strict !== true;
    this.#say(
      { difference: kind, topic, partition, offset, acknowledged, key },
      isCounted ? undefined : text,
    );
  }

  gap({ fromMs, toMs, entries }: AuditGap): void {
    this.notJudged += entries;
    const [from, to] = [instantText(fromMs), instantText(toMs)];
    const text = `not judged: ${entries} entries from ${from} to ${to} could not be written`;
    this.#say({ gap: entries, from, to }, text);
  }

  damaged(segment: string, bytes: number): void {
    this.#damagedBytes += bytes;
    const text = `damaged    ${bytes} bytes of ${segment}: its entries can't be judged`;
    this.#say({ damage: segment, bytes }, text);
  }

  end(): void {
    const { missing, different, deleted, 'no-topic': noTopic } = this.#counts;
    const { strict = false } = this.#options;
    const bad = missing + different + noTopic + (strict ? deleted : 0);
    const ok = bad === 0 && this.#damagedBytes === 0;
    if (!ok) process.exitCode = DIFFERENT;
    const logBegins = Number.isFinite(this.#firstMs) ? instantText(this.#firstMs) : null;
    const { judged, notJudged, unsyncedBytes } = this;
    const counts = { judged, missing, different, deleted, noTopic, damagedBytes: this.#damagedBytes };
    const begins = `the audit log begins ${logBegins ?? 'nowhere: it is empty'}`;
    const lines = [
      `${judged} acknowledged records compared; ${begins}`,
      `  missing in Kafka    ${missing}`,
      `  different in Kafka  ${different}`,
    ];
    if (noTopic > 0) lines.push(`  without a topic     ${noTopic}`);
    lines.push(`  deleted since       ${deleted}${strict ? '' : '  (before the beginning of their logs)'}`);
    if (notJudged > 0) lines.push(`  not judged          ${notJudged}`);
    const unsynced = `${unsyncedBytes} bytes at the end of the log are not known to be synced`;
    if (unsyncedBytes > 0) lines.push(`  ${unsynced}, and are not judged`);
    lines.push(ok ? 'verdict: ok' : 'verdict: DIFFERENT');
    const verdict = { verdict: ok ? 'ok' : 'different', ...counts, notJudged, unsyncedBytes, logBegins };
    this.#say(verdict, lines.join('\n'));
  }

  /** For a program, or for a person; undefined: nothing. */
  #say(document: object, text: string | undefined): void {
    const line = this.#options.json === true ? JSON.stringify(document) : text;
    if (line !== undefined) process.stdout.write(`${line}\n`);
  }
}
