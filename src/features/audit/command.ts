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
import type { AuditEntry } from './audit-block.ts';
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
    throw new SluiceError(
      'NO_AUDIT_LOG',
      'no audit log is kept: set audit.directory, or name one with --directory',
    );
  }
  const { producer: config, security } = blueprint;
  const reader = new TopicReader({
    config,
    security,
    clock: systemClock,
    logger: processLogger('warn', 'auto'),
  });
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
  const comparison = new Comparison(reader, (difference) => {
    report.differs(difference);
  });
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
      if (gap.fromMs < until && gap.toMs >= since) report.gap(gap.fromMs, gap.toMs, gap.entries);
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
    const { topic, partition, offset, timeMs, key } = entry;
    const keyText = key === null ? null : (textOf(key) ?? key.toString('hex'));
    if (this.#options.json === true) {
      this.#line({
        difference: kind,
        topic,
        partition,
        offset,
        acknowledged: instantText(timeMs),
        key: keyText,
      });
      return;
    }
    // Of what retention takes there may be millions: they are counted.
    if (kind === 'deleted' && this.#options.strict !== true) return;
    const place = `${topic}/${partition}/${offset < 0 ? '?' : offset}`;
    process.stdout.write(
      `${kind.padEnd(9)}  ${place}  key ${printable(keyText ?? '-')}  acknowledged ${instantText(timeMs)}\n`,
    );
  }

  gap(fromMs: number, toMs: number, entries: number): void {
    this.notJudged += entries;
    if (this.#options.json === true)
      this.#line({ gap: entries, from: instantText(fromMs), to: instantText(toMs) });
    else
      process.stdout.write(
        `not judged: ${entries} entries from ${instantText(fromMs)} to ${instantText(toMs)} could not be written\n`,
      );
  }

  damaged(segment: string, bytes: number): void {
    this.#damagedBytes += bytes;
    if (this.#options.json === true) this.#line({ damage: segment, bytes });
    else process.stdout.write(`damaged    ${bytes} bytes of ${segment}: its entries can't be judged\n`);
  }

  end(): void {
    const { missing, different, deleted, 'no-topic': noTopic } = this.#counts;
    const { strict = false, json = false } = this.#options;
    const bad = missing + different + noTopic + (strict ? deleted : 0);
    const ok = bad === 0 && this.#damagedBytes === 0;
    if (!ok) process.exitCode = DIFFERENT;
    const logBegins = Number.isFinite(this.#firstMs) ? instantText(this.#firstMs) : null;
    if (json) {
      const { judged, notJudged, unsyncedBytes } = this;
      const counts = { judged, missing, different, deleted, noTopic, damagedBytes: this.#damagedBytes };
      this.#line({ verdict: ok ? 'ok' : 'different', ...counts, notJudged, unsyncedBytes, logBegins });
      return;
    }
    const lines = [
      `${this.judged} acknowledged records compared; the audit log begins ${logBegins ?? 'nowhere: it is empty'}`,
      `  missing in Kafka    ${missing}`,
      `  different in Kafka  ${different}`,
      ...(noTopic > 0 ? [`  without a topic     ${noTopic}`] : []),
      `  deleted since       ${deleted}${strict ? '' : '  (before the beginning of their logs)'}`,
      ...(this.notJudged > 0 ? [`  not judged          ${this.notJudged}`] : []),
      ...(this.unsyncedBytes > 0
        ? [
            `  ${this.unsyncedBytes} bytes at the end of the log are not known to be synced, and are not judged`,
          ]
        : []),
      ok ? 'verdict: ok' : 'verdict: DIFFERENT',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  }

  #line(document: object): void {
    process.stdout.write(`${JSON.stringify(document)}\n`);
  }
}
