/**
 * Where a record stands: its segment and its ordinal in it, in one number that grows with every append. Exact as
 * a double for 2^29 segments.
 */
export type Position = number;

/** More records than this don't share a segment. */
export const MAX_RECORDS_PER_SEGMENT = 2 ** 24;
export const MAX_SEGMENT_ID = 2 ** 29 - 1;

/** The position of a record that was dropped by policy instead of being written. */
export const DROPPED: Position = -1;

export function positionOf(segmentId: number, ordinal: number): Position {
  return segmentId * MAX_RECORDS_PER_SEGMENT + ordinal;
}

export function segmentOf(position: Position): number {
  return Math.floor(position / MAX_RECORDS_PER_SEGMENT);
}

export function ordinalOf(position: Position): number {
  return position % MAX_RECORDS_PER_SEGMENT;
}
