import type { DeadLetter } from './dead-letter.ts';
import type { OffsetRanges } from './offset-ranges.ts';

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
  /** By topic and partition, as {@link logKey} says. */
  readonly offsets?: ReadonlyMap<string, OffsetRanges>;
}

/** A partition's log as a key. */
export function logKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

export function isSelected(letter: DeadLetter, selection: Selection): boolean {
  const { types, codes, clientIds, matchesTopic, sinceMs, untilMs, offsets } = selection;
  return (
    (types?.includes(letter.type ?? '') ?? true) &&
    (codes?.includes(letter.code) ?? true) &&
    (clientIds?.includes(letter.clientId) ?? true) &&
    (matchesTopic?.(letter.mqttTopic) ?? true) &&
    (sinceMs === undefined || letter.timestampMs >= sinceMs) &&
    (untilMs === undefined || letter.timestampMs < untilMs) &&
    (offsets === undefined ||
      offsets.get(logKey(letter.topic, letter.partition))?.has(letter.offset) === true)
  );
}
