import type { Readable } from 'node:stream';
import { MAX_CAPTURES, type CaptureTap } from './capture-tap.ts';
import { filterMatches, isTopicFilter } from '../../mqtt/topics/topic-filter.ts';

/** What somebody asks of the admin port. */
export interface CaptureQuery {
  /** An MQTT topic filter; left out, all topics. */
  readonly topic?: string;
  /** Ends after so many messages; left out, never. */
  readonly count?: string;
}

/** Begins a capture, or says why not: `busy` if it may be possible later. */
export function openCapture(
  tap: CaptureTap,
  { topic: filter = '#', count }: CaptureQuery,
): { readonly lines: Readable } | { readonly problem: string; readonly busy: boolean } {
  if (!isTopicFilter(filter)) {
    return { problem: `topic: found ${JSON.stringify(filter)}, expected an MQTT topic filter`, busy: false };
  }
  const limit = count === undefined ? Number.POSITIVE_INFINITY : Number(count);
  if (limit !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(limit) && limit >= 1)) {
    return {
      problem: `count: found ${JSON.stringify(count)}, expected a whole number from 1`,
      busy: false,
    };
  }
  const wants = (topicName: string): boolean => filterMatches(filter, topicName);
  const lines = tap.open({ filter, wants, count: limit });
  if (lines !== undefined) return { lines };
  return { problem: `there are ${MAX_CAPTURES} captures already`, busy: true };
}
