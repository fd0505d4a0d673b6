import { discard, type FileSystem, readFully, withFile, writeFully } from '../../durable-log/file-system.ts';
import { BEGINNING, type LogPlace, RecordRuns } from '../../durable-log/log-scanner.ts';
import { systemCode } from '../errors.ts';
import { type Damage, type DiskCursor, DiskFaultError, faultOf, type ReadResult } from './disk-port.ts';
import {
  DAMAGED_SUFFIX,
  SalvagedFile,
  scannerOf,
  segmentName,
  segmentPath,
  type StoredSegment,
} from './segment-file.ts';

/** A longer stretch of damaged bytes is set aside in part. */
const MAX_SET_ASIDE_BYTES = 16 << 20;

/** Reads batches of records back, from one segment at a time. */
export class SegmentReader {
  readonly #fs: FileSystem;
  /** Whether the disk of a directory is there. */
  readonly #isThere: (directory: string) => boolean;
  #open: { readonly id: number; readonly file: SalvagedFile } | undefined;

  constructor(fs: FileSystem, isThere: (directory: string) => boolean) {
    this.#fs = fs;
    this.#isThere = isThere;
  }

  /** Whole groups from the cursor on, until they make `maxBytes`; at least one. Throws a DiskFaultError. */
  read(
    closed: ReadonlyMap<number, StoredSegment>,
    current: StoredSegment | undefined,
    cursor: DiskCursor,
    maxBytes: number,
  ): ReadResult {
    const segment = nextSegment(closed, current, cursor);
    if (segment === undefined) return emptyRead(cursor);
    try {
      return this.#read(segment, cursor, maxBytes);
    } catch (error) {
      // The next try opens the file anew: the disk may have been away.
      this.close();
      if (systemCode(error) === 'ENOENT' && this.#isGone(segment)) return allLost(segment, cursor);
      throw new DiskFaultError(faultOf(error, segment.directory), { cause: error });
    }
  }

  /** The file is gone, and the disk is there: nothing to wait for. */
  #isGone({ id, directory }: StoredSegment): boolean {
    try {
      return !this.#fs.list(directory).includes(segmentName(id)) && this.#isThere(directory);
    } catch {
      return false;
    }
  }

  #read(segment: StoredSegment, cursor: DiskCursor, maxBytes: number): ReadResult {
    const start = startIn(segment, cursor);
    const scanner = scannerOf(segment, this.#file(segment), start);
    const runs = new RecordRuns();
    const damage: Damage[] = [];
    let bytes = 0;
    while (bytes < maxBytes) {
      const group = scanner.next();
      if (group === undefined) break;
      for (let index = 0; index < group.runs.count; index++) {
        bytes += (group.runs.ends[index] as number) - (group.runs.starts[index] as number);
      }
      runs.append(group.runs);
      if (group.damage !== undefined) damage.push({ segmentId: segment.id, ...group.damage });
    }
    const { id: segmentId, generation, endOffset, records } = segment;
    const toNumber = scanner.offset >= endOffset ? records : scanner.recordNumber;
    return {
      segmentId,
      ...pack(runs, bytes),
      fromNumber: start.recordNumber,
      toNumber,
      next: { segmentId, generation, offset: scanner.offset, recordNumber: toNumber },
      atEnd: false,
      damage,
      setAside: damage.flatMap((piece) => this.#setAside(segment, piece) ?? []),
    };
  }

  #file(segment: StoredSegment): SalvagedFile {
    if (this.#open?.id === segment.id) return this.#open.file;
    this.close();
    const file = new SalvagedFile(this.#fs.open(segmentPath(segment), 'read'));
    this.#open = { id: segment.id, file };
    return file;
  }

  /** Keeps damaged bytes for whoever wants to look at them: the segment itself will be gone. */
  #setAside(segment: StoredSegment, { offset, bytes }: Damage): string | undefined {
    const path = `${segment.directory}/${segment.id}-${offset}${DAMAGED_SUFFIX}`;
    try {
      const content = readFully(this.#file(segment), offset, Math.min(bytes, MAX_SET_ASIDE_BYTES));
      withFile(this.#fs, path, 'create', (file) => writeFully(file, content, 0));
      return path;
    } catch {
      return undefined;
    }
  }

  /** Lets go of the segment's file: it is about to be replaced or removed. */
  forget(segmentId: number): void {
    if (this.#open?.id === segmentId) this.close();
  }

  close(): void {
    discard(this.#open?.file);
    this.#open = undefined;
  }
}

/** The first segment that has something at or behind the cursor. */
function nextSegment(
  closed: ReadonlyMap<number, StoredSegment>,
  current: StoredSegment | undefined,
  cursor: DiskCursor,
): StoredSegment | undefined {
  const candidates = current === undefined ? closed.values() : [...closed.values(), current];
  for (const segment of candidates) {
    if (segment.id > cursor.segmentId) return segment;
    if (segment.id === cursor.segmentId && cursor.recordNumber < segment.records) return segment;
  }
  return undefined;
}

function startIn(segment: StoredSegment, cursor: DiskCursor): LogPlace {
  const isSame = segment.id === cursor.segmentId && segment.generation === cursor.generation;
  return isSame && cursor.offset > 0 ? cursor : BEGINNING;
}

function pack(runs: RecordRuns, bytes: number): Pick<ReadResult, 'bytes' | 'ends' | 'recordNumbers'> {
  const packed = new Uint8Array(bytes);
  const ends = new Uint32Array(runs.count);
  let at = 0;
  for (let index = 0; index < runs.count; index++) {
    const body = runs.body(index);
    packed.set(body, at);
    at += body.length;
    ends[index] = at;
  }
  return { bytes: packed, ends, recordNumbers: Uint32Array.from(runs.recordNumbers) };
}

/** Of a segment whose file is gone: what the cursor had not had of it. */
function allLost(segment: StoredSegment, cursor: DiskCursor): ReadResult {
  const { id: segmentId, generation, endOffset, records } = segment;
  const { offset, recordNumber } = startIn(segment, cursor);
  const lostRecords = records - recordNumber;
  return {
    ...emptyRead(cursor),
    segmentId,
    fromNumber: recordNumber,
    toNumber: records,
    next: { segmentId, generation, offset: endOffset, recordNumber: records },
    atEnd: false,
    damage: [{ segmentId, offset, bytes: endOffset - offset, lostRecords, gone: true }],
  };
}

function emptyRead(cursor: DiskCursor): ReadResult {
  return {
    segmentId: cursor.segmentId,
    bytes: new Uint8Array(0),
    ends: new Uint32Array(0),
    recordNumbers: new Uint32Array(0),
    fromNumber: cursor.recordNumber,
    toNumber: cursor.recordNumber,
    next: cursor,
    atEnd: true,
    damage: [],
    setAside: [],
  };
}
