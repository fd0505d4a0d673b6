import type { SegmentProgress } from './checkpoint.ts';
import type { Survey } from '../disk/disk-port.ts';
import type { JournalFs } from '../disk/journal-fs.ts';
import { OrdinalSet } from './ordinal-set.ts';
import { decodeRecord, emptyJournalRecord } from '../record-codec.ts';
import { SalvagedFile, segmentPath, type StoredSegment } from '../disk/segment-files.ts';
import { HEADER_BYTES } from '../disk/segment-header.ts';
import { SegmentScanner } from '../disk/segment-scan.ts';

/**
 * What a segment still holds that is not done, and whose it is. What can't be read is left out: it belongs to nobody
 * who could be asked. Throws what the disk throws.
 */
export function surveySegment(fs: JournalFs, segment: StoredSegment, progress: SegmentProgress): Survey {
  const done = OrdinalSet.restore(progress.low, progress.bits);
  const owners: { readonly topic: string; readonly account: string }[] = [];
  const indexes = new Map<string, number>();
  const ordinals: number[] = [];
  const ownerOf: number[] = [];
  const record = emptyJournalRecord();
  const file = new SalvagedFile(fs.open(segmentPath(segment), 'read'));
  try {
    const limits = { segmentId: segment.id, endOffset: segment.endOffset, records: segment.records };
    const start = { offset: HEADER_BYTES, ordinal: 0 };
    const scanner = new SegmentScanner(file, segment.header, segment.cipher, limits, start);
    let group;
    while ((group = scanner.next()) !== undefined) {
      const { runs } = group;
      for (let index = 0; index < runs.count; index++) {
        const ordinal = runs.ordinals[index] as number;
        if (done.has(ordinal)) continue;
        const source = runs.buffers[index] as Buffer;
        if (!decodeRecord(source, runs.starts[index] as number, runs.ends[index] as number, record)) continue;
        const { topic, account } = record;
        const key = `${topic}\0${account}`;
        let owner = indexes.get(key);
        if (owner === undefined) {
          owner = owners.push({ topic, account }) - 1;
          indexes.set(key, owner);
        }
        ordinals.push(ordinal);
        ownerOf.push(owner);
      }
    }
  } finally {
    file.close();
  }
  return { owners, ordinals: Uint32Array.from(ordinals), ownerOf: Uint32Array.from(ownerOf) };
}
