import { type Checkpoint, RESERVED_IDS } from './checkpoint.ts';
import { OrdinalSet } from './ordinal-set.ts';
import type { SegmentHeader } from '../disk/segment-header.ts';
import type { Damage } from '../disk/segment-scan.ts';

/** Segments whose header could be read. */
type Headed = readonly { readonly header: SegmentHeader }[];

/**
 * How many records of a segment that can't be read itself were not done, as far as it can be known: from the
 * checkpoint, and from the segment behind it.
 */
export function openRecordsOf(id: number, checkpoint: Checkpoint | undefined, headed: Headed): number {
  const known = checkpoint?.ends.find((end) => end.id === id)?.records ?? 0;
  const told = headed.find(({ header }) => header.previous.id === id)?.header.previous.records ?? 0;
  const progress = checkpoint?.progress.find((segment) => segment.id === id);
  const done = progress === undefined ? 0 : OrdinalSet.restore(progress.low, progress.bits).size;
  return Math.max(0, known - done, told - done);
}

/**
 * Segments that should be there and whose files are gone: somebody deleted them, or the file system did. The last
 * checkpoint names all that were there then; one that was begun since is named by the segment behind it, and was not
 * removed by us, since nothing is removed before a checkpoint says so, or leaves a file that says it instead. Without
 * a checkpoint nobody knows what was done, and nothing is missed.
 */
export function missingSegments(
  checkpoint: Checkpoint | undefined,
  present: ReadonlySet<number>,
  headed: Headed,
): readonly Damage[] {
  if (checkpoint === undefined) return [];
  const nextId = checkpoint.reservedId - RESERVED_IDS;
  const expected = new Map<number, { readonly id: number; readonly endOffset: number }>();
  for (const end of checkpoint.ends) expected.set(end.id, end);
  for (const { header } of headed) {
    if (header.previous.id >= nextId) expected.set(header.previous.id, header.previous);
  }
  const missing: Damage[] = [];
  for (const { id, endOffset } of expected.values()) {
    if (present.has(id)) continue;
    const lostRecords = openRecordsOf(id, checkpoint, headed);
    if (lostRecords > 0)
      missing.push({ segmentId: id, offset: 0, bytes: endOffset, lostRecords, gone: true });
  }
  return missing.sort((a, b) => a.segmentId - b.segmentId);
}
