import { deadLetterOf, type DeadLetter, type LetterSource } from './dead-letter.ts';
import type { HandledLetters, Handling, LetterLog, LetterState } from './handled.ts';
import { holds, type Range } from './ranges.ts';

/** Which dead letters are meant; what is left out does not matter. */
export interface Selection {
  /** Device types; '' is what no profile matched. */
  readonly types?: readonly string[];
  readonly codes?: readonly string[];
  readonly clientIds?: readonly string[];
  readonly matchesTopic?: (mqttTopic: string) => boolean;
  /** By the records' timestamps, which are the times of receipt; milliseconds since 1970-01-01 UTC. */
  readonly sinceMs?: number;
  /** Not included. */
  readonly untilMs?: number;
  /** Of each partition, by {@link logKey}. */
  readonly offsets?: ReadonlyMap<string, readonly Range[]>;
}

/** A partition's log as a key. */
export function logKey({ topic, partition }: LetterLog): string {
  return `${topic}/${partition}`;
}

export interface FoundLetter {
  readonly letter: DeadLetter;
  readonly log: LetterLog;
  readonly handling: Handling;
}

/** A dead-letter topic's partition, and where its log begins and ends. */
export interface LetterLogBounds extends LetterLog {
  readonly begin: number;
  readonly end: number;
}

/** The partitions of topics; those that don't exist yet have none. */
export async function letterLogs(
  source: LetterSource,
  topics: readonly string[],
): Promise<LetterLogBounds[]> {
  const logs: LetterLogBounds[] = [];
  for (const topic of topics) {
    const found = await source.describe(topic);
    found?.partitions.forEach((bounds, partition) => {
      logs.push({ topic, topicId: found.id, partition, ...bounds });
    });
  }
  return logs;
}

/**
 * The selected dead letters that are there now, in the order of their topics, partitions and offsets.
 *
 * @param wants which states are of interest; where only open ones are, what is done at the front isn't read
 */
export async function* findLetters(
  source: LetterSource,
  handled: HandledLetters,
  logs: readonly LetterLogBounds[],
  selection: Selection,
  wants: readonly LetterState[] = ['open'],
): AsyncGenerator<FoundLetter> {
  for (const log of logs) {
    const range = await selectedRange(source, log, selection);
    if (wants.every((state) => state === 'open')) range.from = handled.firstOpen(log, range.from);
    for await (const records of source.read({ topic: log.topic, partition: log.partition, ...range })) {
      for (const record of records) {
        const handling = handled.of(log, record.offset);
        if (!wants.includes(handling.state)) continue;
        const letter = deadLetterOf(record);
        if (isSelected(letter, selection)) yield { letter, log, handling };
      }
    }
  }
}

/** What has to be read of a log for the selected offsets and times. */
async function selectedRange(
  source: LetterSource,
  log: LetterLogBounds,
  { offsets, sinceMs }: Selection,
): Promise<{ from: number; to: number }> {
  let from = log.begin;
  let to = log.end;
  if (offsets !== undefined) {
    const wanted = offsets.get(logKey(log)) ?? [];
    from = Math.max(from, Math.min(to, ...wanted.map(({ first }) => first)));
    to = Math.min(to, Math.max(-1, ...wanted.map(({ last }) => last)) + 1);
  }
  if (sinceMs !== undefined && from < to) {
    from = Math.max(from, (await source.offsetAt(log.topic, log.partition, sinceMs)) ?? to);
  }
  return { from, to };
}

function isSelected(letter: DeadLetter, selection: Selection): boolean {
  const { types, codes, clientIds, matchesTopic, sinceMs, untilMs, offsets } = selection;
  return (
    (types?.includes(letter.type ?? '') ?? true) &&
    (codes?.includes(letter.code) ?? true) &&
    (clientIds?.includes(letter.clientId) ?? true) &&
    (matchesTopic?.(letter.mqttTopic) ?? true) &&
    (sinceMs === undefined || letter.timestampMs >= sinceMs) &&
    (untilMs === undefined || letter.timestampMs < untilMs) &&
    (offsets === undefined || holds(offsets.get(logKey(letter)) ?? [], letter.offset))
  );
}
