import { deadLetterOf, type DeadLetter, type LetterRecord } from './dead-letter.ts';
import type { HandledLetters, LetterLog, LetterState } from './handled.ts';
import { isSelected, logKey, type Selection } from './selection.ts';

/** What is read from Kafka: parts of topics, from offset to offset. */
export interface LetterSource {
  /** undefined: there is no such topic. */
  describe(topic: string): Promise<
    | {
        readonly id: string | undefined;
        readonly partitions: readonly { readonly begin: number; readonly end: number }[];
      }
    | undefined
  >;
  /** The first offset of this time or later; undefined: there is none. */
  offsetAt(topic: string, partition: number, timestampMs: number): Promise<number | undefined>;
  read(range: {
    readonly topic: string;
    readonly partition: number;
    readonly from: number;
    readonly to: number;
  }): AsyncIterable<readonly LetterRecord[]>;
}

export interface FoundLetter {
  readonly letter: DeadLetter;
  readonly log: LetterLog;
  readonly state: LetterState;
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
    found?.partitions.forEach(({ begin, end }, partition) => {
      logs.push({ topic, topicId: found.id, partition, begin, end });
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
  wants: readonly LetterState[],
): AsyncGenerator<FoundLetter> {
  for (const log of logs) {
    const range = await rangeOf(source, handled, log, selection, wants);
    for await (const records of source.read({ topic: log.topic, partition: log.partition, ...range })) {
      for (const record of records) {
        const state = handled.state(log, record.offset);
        if (!wants.includes(state)) continue;
        const letter = deadLetterOf(record);
        if (isSelected(letter, selection)) yield { letter, log, state };
      }
    }
  }
}

async function rangeOf(
  source: LetterSource,
  handled: HandledLetters,
  log: LetterLogBounds,
  { offsets, sinceMs }: Selection,
  wants: readonly LetterState[],
): Promise<{ readonly from: number; readonly to: number }> {
  let from = log.begin;
  let to = log.end;
  if (offsets !== undefined) {
    const wanted = offsets.get(logKey(log.topic, log.partition));
    from = Math.max(from, wanted?.first ?? to);
    to = Math.min(to, (wanted?.last ?? -1) + 1);
  }
  if (sinceMs !== undefined && from < to) {
    from = Math.max(from, (await source.offsetAt(log.topic, log.partition, sinceMs)) ?? to);
  }
  if (wants.every((state) => state === 'open')) from = handled.firstOpen(log, from);
  return { from, to };
}
