import type { SegmentProgress } from './checkpoint.ts';
import { OrdinalSet } from './ordinal-set.ts';
import type { DroppedCount } from './disk-port.ts';
import type { JournalFs } from './journal-fs.ts';
import { decodeRecord, emptyJournalRecord } from './record-codec.ts';
import { SalvagedFile, segmentPath, type StoredSegment } from './segment-files.ts';
import { HEADER_BYTES } from './segment-header.ts';
import { SegmentScanner } from './segment-scan.ts';

/** What a segment still holds that is not done, by Kafka topic and account. What can't be read is in neither. */
export function countRecords(
  fs: JournalFs,
  segment: StoredSegment,
  progress: SegmentProgress,
): readonly DroppedCount[] {
  const done = OrdinalSet.restore(progress.low, progress.bits);
  const counts = new Map<string, { topic: string; account: string; records: number }>();
  const record = emptyJournalRecord();
  let file: SalvagedFile | undefined;
  try {
    file = new SalvagedFile(fs.open(segmentPath(segment), 'read'));
    const limits = { segmentId: segment.id, endOffset: segment.endOffset, records: segment.records };
    const start = { offset: HEADER_BYTES, ordinal: 0 };
    const scanner = new SegmentScanner(file, segment.header, segment.cipher, limits, start);
    let group;
    while ((group = scanner.next()) !== undefined) {
      const { buffers, starts, ends, ordinals, count } = group.runs;
      for (let index = 0; index < count; index++) {
        if (done.has(ordinals[index] as number)) continue;
        const source = buffers[index] as Buffer;
        if (!decodeRecord(source, starts[index] as number, ends[index] as number, record)) continue;
        const key = `${record.topic}\0${record.account}`;
        const entry = counts.get(key) ?? { topic: record.topic, account: record.account, records: 0 };
        entry.records++;
        counts.set(key, entry);
      }
    }
  } catch {
    // A disk that can't even be read: the caller counts the difference as unknown.
  } finally {
    file?.close();
  }
  return [...counts.values()];
}
