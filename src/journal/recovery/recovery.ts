import { HEADER_BYTES } from '../../durable-log/file-header.ts';
import { type FileSystem, type OpenFile, readFully } from '../../durable-log/file-system.ts';
import { LogScanner } from '../../durable-log/log-scanner.ts';
import type { Damage, RecoveryReport } from '../disk/disk-port.ts';
import { cipherFor } from '../disk/journal-key.ts';
import {
  COMPACTING_SUFFIX,
  DAMAGED_SUFFIX,
  decodeSegmentHeader,
  FINISHED_SUFFIX,
  formerSegmentIdOf,
  SalvagedFile,
  type SegmentEnd,
  type SegmentHeader,
  segmentIdOf,
  segmentPath,
  SPARE_NAME,
  type StoredSegment,
} from '../disk/segment-file.ts';
import { JournalUnavailableError } from '../errors.ts';
import { type Checkpoint, isCheckpoint, loadCheckpoint, RESERVED_IDS } from './checkpoint.ts';
import { RecordSet } from './record-set.ts';

interface Found {
  readonly id: number;
  readonly directory: string;
}

/** A segment whose header could be read. */
interface Headed extends Found {
  readonly header: SegmentHeader;
}

/**
 * How many records of a segment that can't be read itself were not done, as far as it can be known: from the
 * checkpoint, and from the segment behind it.
 */
export function openRecordsOf(
  id: number,
  checkpoint: Checkpoint | undefined,
  headed: readonly Headed[],
): number {
  const known = checkpoint?.ends.find((end) => end.id === id)?.records ?? 0;
  const told = headed.find(({ header }) => header.previous.id === id)?.header.previous.records ?? 0;
  const progress = checkpoint?.progress.find((segment) => segment.id === id);
  const done = progress === undefined ? 0 : RecordSet.restore(progress.low, progress.bits).size;
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
  headed: readonly Headed[],
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

export interface Recovered {
  readonly checkpoint: Checkpoint | undefined;
  /** Oldest first. */
  readonly segments: readonly StoredSegment[];
  readonly report: RecoveryReport;
  /** Directories that hold a spare file. */
  readonly spares: ReadonlySet<string>;
  /** Files that say of a segment that it is done: not needed any more when a checkpoint says so. */
  readonly finished: readonly string[];
  /** Higher than every id in the directories, and than those that were reserved. */
  readonly nextId: number;
}

/**
 * Finds out what the directories hold. Nothing is ever appended to a segment of a former life: its last groups may
 * be in the page cache only, and a second life in the same file would encrypt offsets twice.
 *
 * @throws JournalVersionError, JournalKeyError; what the file system throws if a directory can't be read
 */
export function recover(
  fs: FileSystem,
  directories: readonly string[],
  journalKey: Buffer | undefined,
): Recovered {
  const checkpoint = loadCheckpoint(fs, directories);
  const { files, formerIds, finished, spares, empty } = listFiles(fs, directories);
  const recovery = new Recovery(fs, checkpoint, journalKey);
  const headers = recovery.readHeaders(files);
  recovery.missSegments(new Set([...files.map(({ id }) => id), ...formerIds]), headers, empty);
  const segments = recovery.locateEnds(headers);
  const highest = files.at(-1)?.id ?? 0;
  return {
    checkpoint,
    segments,
    report: recovery.report(segments),
    spares,
    finished,
    nextId: Math.max(highest + 1, checkpoint?.reservedId ?? 1),
  };
}

interface Listing {
  readonly files: readonly Found[];
  /** Of segments whose files have other names now. */
  readonly formerIds: readonly number[];
  readonly finished: readonly string[];
  readonly spares: ReadonlySet<string>;
  /** Directories in which no journal has ever been. */
  readonly empty: readonly string[];
}

function listFiles(fs: FileSystem, directories: readonly string[]): Listing {
  const files: Found[] = [];
  const formerIds: number[] = [];
  const finished: string[] = [];
  const spares = new Set<string>();
  const empty: string[] = [];
  for (const directory of directories) {
    const names = fs.list(directory);
    if (!names.some((name) => segmentIdOf(name) !== undefined || isCheckpoint(name))) empty.push(directory);
    for (const name of names) {
      const id = segmentIdOf(name);
      const formerId = formerSegmentIdOf(name);
      if (formerId !== undefined) formerIds.push(formerId);
      if (name.endsWith(FINISHED_SUFFIX)) finished.push(`${directory}/${name}`);
      if (id !== undefined) files.push({ id, directory });
      else if (name === SPARE_NAME) spares.add(directory);
      else if (name.endsWith(COMPACTING_SUFFIX)) fs.remove(`${directory}/${name}`);
    }
  }
  files.sort((a, b) => a.id - b.id);
  return { files, formerIds, finished, spares, empty };
}

class Recovery {
  readonly #fs: FileSystem;
  readonly #checkpoint: Checkpoint | undefined;
  readonly #journalKey: Buffer | undefined;
  readonly #damage: Damage[] = [];
  readonly #setAside: string[] = [];
  #scanned = 0;
  #unacknowledged = 0;
  #gone = 0;

  constructor(fs: FileSystem, checkpoint: Checkpoint | undefined, journalKey: Buffer | undefined) {
    this.#fs = fs;
    this.#checkpoint = checkpoint;
    this.#journalKey = journalKey;
  }

  /** The segments with a readable header, without those that were given up. */
  readHeaders(files: readonly Found[]): readonly Headed[] {
    const headed: Headed[] = [];
    const headless: (Found & { readonly size: number; readonly begun: boolean })[] = [];
    for (const found of files) {
      const path = segmentPath(found);
      const file = this.#fs.open(path, 'read');
      let bytes: Buffer;
      let size: number;
      try {
        bytes = readFully(file, 0, HEADER_BYTES);
        size = file.size();
      } finally {
        file.close();
      }
      const header = decodeSegmentHeader(bytes, found.id, path);
      if (header !== undefined && header !== 'stale') headed.push({ ...found, header });
      else headless.push({ ...found, size, begun: header === 'stale' || size <= HEADER_BYTES });
    }
    for (const found of this.#withoutVoid(headless, headed)) {
      const lostRecords = openRecordsOf(found.id, this.#checkpoint, headed);
      // Begun when the process died, and no group of it was ever durable: unless it is known that there were some.
      if (found.begun && lostRecords === 0) this.#fs.remove(segmentPath(found));
      else this.#setSegmentAside(found, found.size, lostRecords);
    }
    return this.#withoutVoid(headed, headed);
  }

  /**
   * Reports segments that are gone. Where a directory has never seen a journal, they are in the one that should be
   * there in its stead: its disk is not mounted.
   *
   * @throws JournalUnavailableError in that case
   */
  missSegments(present: ReadonlySet<number>, headed: readonly Headed[], empty: readonly string[]): void {
    const missing = missingSegments(this.#checkpoint, present, headed);
    if (missing.length === 0) return;
    const records = missing.reduce((sum, { lostRecords }) => sum + lostRecords, 0);
    if (empty[0] !== undefined) {
      const reason = `it is empty, and ${records} records that are to be sent are in none of the journal's directories`;
      throw new JournalUnavailableError(empty[0], reason);
    }
    this.#gone += records;
    this.#damage.push(...missing);
  }

  #setSegmentAside(found: Found, size: number, lostRecords: number): void {
    const path = segmentPath(found);
    this.#fs.rename(path, path + DAMAGED_SUFFIX);
    this.#setAside.push(path + DAMAGED_SUFFIX);
    this.#damage.push({ segmentId: found.id, offset: 0, bytes: size, lostRecords });
    this.#gone += lostRecords;
  }

  /** Removes those that were given up: a later segment says that it follows on one before them. */
  #withoutVoid<T extends Found>(found: readonly T[], headed: readonly Headed[]): readonly T[] {
    return found.filter((segment) => {
      const successor = headed.find((other) => other.id > segment.id);
      if (successor === undefined || successor.header.previous.id >= segment.id) return true;
      this.#fs.remove(segmentPath(segment));
      return false;
    });
  }

  locateEnds(headed: readonly Headed[]): readonly StoredSegment[] {
    const ends = new Map<number, SegmentEnd>();
    for (const end of this.#checkpoint?.ends ?? []) if (end.closed) ends.set(end.id, end);
    for (const { header } of headed)
      if (header.previous.records > 0) ends.set(header.previous.id, header.previous);
    const segments: StoredSegment[] = [];
    for (const { id, directory, header } of headed) {
      const path = segmentPath({ id, directory });
      const cipher = cipherFor(header, this.#journalKey, path);
      const segment = { id, directory, header, cipher, generation: 0 };
      if (header.compactedEnd > 0) {
        segments.push({ ...segment, endOffset: header.compactedEnd, records: header.compactedRecords });
        continue;
      }
      const end = ends.get(id) ?? this.#scan({ ...segment, endOffset: 0, records: 0 }, path);
      segments.push({ ...segment, endOffset: end.endOffset, records: end.records });
    }
    return segments;
  }

  /** Looks for the end of a segment whose writer died. */
  #scan(segment: StoredSegment, path: string): SegmentEnd {
    this.#scanned++;
    const { id } = segment;
    const file = new SalvagedFile(this.#fs.open(path, 'write'));
    try {
      // After a kill -9 the last groups may be in the page cache only. What is counted on must be on the disk.
      file.sync();
      const endOffset = file.size();
      const limits = { endOffset, records: undefined };
      const scanner = new LogScanner(file, segment.header, segment.cipher, limits);
      let group;
      while ((group = scanner.next()) !== undefined) {
        if (group.damage !== undefined) this.#damage.push({ segmentId: id, ...group.damage });
      }
      this.#unacknowledged += scanner.uncommitted;
      const { offset, recordNumber: found } = scanner;
      const durable = this.#checkpoint?.ends.find((end) => end.id === id)?.records ?? 0;
      const records = Math.max(found, durable);
      if (records > found) {
        const lostRecords = records - found;
        this.#damage.push({ segmentId: id, offset, bytes: endOffset - offset, lostRecords });
      } else if (file.unreadablePages === 0) {
        this.#cutOff(file, offset);
      }
      return { id, endOffset: offset, records };
    } finally {
      file.close();
    }
  }

  #cutOff(file: OpenFile, endOffset: number): void {
    try {
      if (file.size() > endOffset) file.truncate(endOffset);
    } catch {
      // The end is in the checkpoint too; this only gives the room back.
    }
  }

  report(segments: readonly StoredSegment[]): RecoveryReport {
    return {
      segments: segments.length,
      records: segments.reduce((sum, { records }) => sum + records, 0),
      bytes: segments.reduce((sum, { endOffset }) => sum + endOffset, 0),
      scanned: this.#scanned,
      unacknowledged: this.#unacknowledged,
      damage: this.#damage,
      lostWithSegments: this.#gone,
      hadCheckpoint: this.#checkpoint !== undefined,
      setAside: this.#setAside,
    };
  }
}
