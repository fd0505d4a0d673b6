import type { RecalledPublication } from '../../core/publication.ts';
import { type FileSystem, withFile } from '../../durable-log/file-system.ts';
import {
  decodeRecord,
  emptyJournalRecord,
  type JournalRecord,
  positionOf,
  recordNumberOf,
  segmentOf,
} from '../journal-record.ts';
import type { RecallMark, SegmentProgress } from '../recovery/checkpoint.ts';
import { RecordSet } from '../recovery/record-set.ts';
import type { Recalled, Survey } from './disk-port.ts';
import { SalvagedFile, scannerOf, segmentPath, type StoredSegment } from './segment-file.ts';

/** Visits the records of a segment that can be read, in order. Throws what the disk throws. */
function visitRecords(
  fs: FileSystem,
  segment: StoredSegment,
  wanted: (recordNumber: number) => boolean,
  visit: (record: JournalRecord, recordNumber: number) => void,
): void {
  const record = emptyJournalRecord();
  withFile(fs, segmentPath(segment), 'read', (file) => {
    const scanner = scannerOf(segment, new SalvagedFile(file));
    for (let group; (group = scanner.next()) !== undefined;) {
      const { buffers, starts, ends, recordNumbers, count } = group.runs;
      for (let index = 0; index < count; index++) {
        const recordNumber = recordNumbers[index] as number;
        if (!wanted(recordNumber)) continue;
        const source = buffers[index] as Buffer;
        if (decodeRecord(source, starts[index] as number, ends[index] as number, record)) {
          visit(record, recordNumber);
        }
      }
    }
  });
}

/**
 * What a segment still holds that is not done, and whose it is. What can't be read is left out: it belongs to nobody
 * who could be asked. Throws what the disk throws.
 */
export function surveySegment(fs: FileSystem, segment: StoredSegment, progress: SegmentProgress): Survey {
  const done = RecordSet.restore(progress.low, progress.bits);
  const owners: { readonly topic: string; readonly account: string }[] = [];
  const indexes = new Map<string, number>();
  const recordNumbers: number[] = [];
  const ownerOf: number[] = [];
  const isOpen = (recordNumber: number): boolean => !done.has(recordNumber);
  visitRecords(fs, segment, isOpen, ({ topic, account }, recordNumber) => {
    const key = `${topic}\0${account}`;
    let owner = indexes.get(key);
    if (owner === undefined) {
      owner = owners.push({ topic, account }) - 1;
      indexes.set(key, owner);
    }
    recordNumbers.push(recordNumber);
    ownerOf.push(owner);
  });
  return { owners, recordNumbers: Uint32Array.from(recordNumbers), ownerOf: Uint32Array.from(ownerOf) };
}

/**
 * Finds the publications at and behind the mark. A segment that can't be read has none: repeats are taken again.
 *
 * A QoS 2 publication is on the disk with its record; that its session knows the packet identifier is on the disk a
 * moment later, somewhere else. A crash between the two leaves a publication that its device sends again, and that
 * would be taken for another one. So a start reads the last records once more and hands over whose they are. How far
 * back: to the place up to which the sessions are known to be on the disk, as of the last checkpoint. What lies behind
 * it stays readable until then, even if Kafka has it, unless its room is needed.
 */
export function recallPublications(
  fs: FileSystem,
  segments: readonly StoredSegment[],
  { from, nextOrdinal }: RecallMark,
): Recalled {
  const publications = new Map<number, RecalledPublication>();
  let next = nextOrdinal;
  for (const segment of segments) {
    if (positionOf(segment.id, segment.records) <= from) continue;
    const first = segment.id === segmentOf(from) ? recordNumberOf(from) : 0;
    try {
      visitRecords(
        fs,
        segment,
        (recordNumber) => recordNumber >= first,
        ({ clientId, packetId, publicationNumber }) => {
          if (publicationNumber === 0) return;
          publications.set(publicationNumber, { clientId, packetId, publicationNumber });
          next = Math.max(next, publicationNumber + 1);
        },
      );
    } catch {
      // Whoever reads the records reports it.
    }
  }
  return { publications: [...publications.values()], mark: { from, nextOrdinal: next } };
}
