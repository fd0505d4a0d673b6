import { HEADER_BYTES } from '../../durable-log/file-header.ts';
import { type FileSystem, readFully, tryTruncate, withFile } from '../../durable-log/file-system.ts';
import type { FrameCipher } from '../../durable-log/frame-cipher.ts';
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
import { unavailable } from '../errors.ts';
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
 */
export class Recovery {
  readonly #fs: FileSystem;
  readonly #directories: readonly string[];
  readonly #checkpoint: Checkpoint | undefined;
  readonly #journalKey: Buffer | undefined;
  /** Segments' files, oldest first. */
  readonly #files: Found[] = [];
  /** Of segments whose files have other names now. */
  readonly #formerIds = new Set<number>();
  readonly #finished: string[] = [];
  readonly #spares = new Set<string>();
  /** Directories in which no journal has ever been. */
  readonly #empty: string[] = [];
  #headed: readonly Headed[] = [];
  readonly #damage: Damage[] = [];
  readonly #setAside: string[] = [];
  #scanned = 0;
  #unacknowledged = 0;
  #gone = 0;

  constructor(fs: FileSystem, directories: readonly string[], journalKey: Buffer | undefined) {
    this.#fs = fs;
    this.#directories = directories;
    this.#checkpoint = loadCheckpoint(fs, directories);
    this.#journalKey = journalKey;
  }

  /** @throws JournalError JOURNAL_VERSION, JOURNAL_KEY, JOURNAL_UNAVAILABLE; what the file system throws */
  run(): Recovered {
    for (const directory of this.#directories) this.#list(directory);
    this.#files.sort((a, b) => a.id - b.id);
    this.#readHeaders();
    this.#reportMissing();
    const segments = this.#locateEnds();
    return {
      checkpoint: this.#checkpoint,
      segments,
      report: {
        segments: segments.length,
        records: segments.reduce((sum, { records }) => sum + records, 0),
        bytes: segments.reduce((sum, { endOffset }) => sum + endOffset, 0),
        scanned: this.#scanned,
        unacknowledged: this.#unacknowledged,
        damage: this.#damage,
        lostWithSegments: this.#gone,
        hadCheckpoint: this.#checkpoint !== undefined,
        setAside: this.#setAside,
      },
      spares: this.#spares,
      finished: this.#finished,
      nextId: Math.max((this.#files.at(-1)?.id ?? 0) + 1, this.#checkpoint?.reservedId ?? 1),
    };
  }

  #list(directory: string): void {
    const names = this.#fs.list(directory);
    if (!names.some((name) => segmentIdOf(name) !== undefined || isCheckpoint(name))) {
      this.#empty.push(directory);
    }
    for (const name of names) {
      const id = segmentIdOf(name);
      const formerId = formerSegmentIdOf(name);
      if (formerId !== undefined) this.#formerIds.add(formerId);
      if (name.endsWith(FINISHED_SUFFIX)) this.#finished.push(`${directory}/${name}`);
      if (id !== undefined) this.#files.push({ id, directory });
      else if (name === SPARE_NAME) this.#spares.add(directory);
      else if (name.endsWith(COMPACTING_SUFFIX)) this.#fs.remove(`${directory}/${name}`);
    }
  }

  /** Finds the segments with a readable header, without those that were given up. */
  #readHeaders(): void {
    const headed: Headed[] = [];
    const headless: (Found & { readonly size: number; readonly begun: boolean })[] = [];
    for (const found of this.#files) {
      const path = segmentPath(found);
      const [bytes, size] = withFile(this.#fs, path, 'read', (file) => {
        return [readFully(file, 0, HEADER_BYTES), file.size()] as const;
      });
      const header = decodeSegmentHeader(bytes, found.id, path);
      if (header !== undefined && header !== 'stale') headed.push({ ...found, header });
      else headless.push({ ...found, size, begun: header === 'stale' || size <= HEADER_BYTES });
    }
    this.#headed = headed;
    for (const found of this.#withoutVoid(headless)) {
      const lostRecords = this.#openRecordsOf(found.id);
      // Begun when the process died, and no group of it was ever durable: unless it is known that there were some.
      if (found.begun && lostRecords === 0) this.#fs.remove(segmentPath(found));
      else this.#setSegmentAside(found, found.size, lostRecords);
    }
    this.#headed = this.#withoutVoid(headed);
  }

  /** Removes those that were given up: a later segment says that it follows on one before them. */
  #withoutVoid<T extends Found>(found: readonly T[]): readonly T[] {
    return found.filter((segment) => {
      const successor = this.#headed.find((other) => other.id > segment.id);
      if (successor === undefined || successor.header.previous.id >= segment.id) return true;
      this.#fs.remove(segmentPath(segment));
      return false;
    });
  }

  /**
   * How many records of a segment that can't be read itself were not done, as far as it can be known: from the
   * checkpoint, and from the segment behind it.
   */
  #openRecordsOf(id: number): number {
    const known = this.#checkpoint?.ends.find((end) => end.id === id)?.records ?? 0;
    const successor = this.#headed.find(({ header }) => header.previous.id === id);
    const told = successor?.header.previous.records ?? 0;
    const progress = this.#checkpoint?.progress.find((segment) => segment.id === id);
    const done = progress === undefined ? 0 : RecordSet.restore(progress.low, progress.bits).size;
    return Math.max(0, known - done, told - done);
  }

  #setSegmentAside(found: Found, size: number, lostRecords: number): void {
    const path = segmentPath(found);
    this.#fs.rename(path, path + DAMAGED_SUFFIX);
    this.#setAside.push(path + DAMAGED_SUFFIX);
    this.#damage.push({ segmentId: found.id, offset: 0, bytes: size, lostRecords });
    this.#gone += lostRecords;
  }

  /**
   * Reports segments that are gone. Where a directory has never seen a journal, they are in the one that should be
   * there in its stead: its disk is not mounted.
   *
   * @throws JournalError JOURNAL_UNAVAILABLE in that case
   */
  #reportMissing(): void {
    const missing = this.#missingSegments();
    if (missing.length === 0) return;
    const records = missing.reduce((sum, { lostRecords }) => sum + lostRecords, 0);
    if (this.#empty[0] !== undefined) {
      const reason = `it is empty, and ${records} records that are to be sent are in none of the journal's directories`;
      throw unavailable(this.#empty[0], reason);
    }
    this.#gone += records;
    this.#damage.push(...missing);
  }

  /**
   * Segments that should be there and whose files are gone: somebody deleted them, or the file system did. The last
   * checkpoint names all that were there then; one that was begun since is named by the segment behind it, and was not
   * removed by us, since nothing is removed before a checkpoint says so, or leaves a file that says it instead. Without
   * a checkpoint nobody knows what was done, and nothing is missed.
   */
  #missingSegments(): readonly Damage[] {
    if (this.#checkpoint === undefined) return [];
    const nextId = this.#checkpoint.reservedId - RESERVED_IDS;
    const expected = new Map<number, SegmentEnd>();
    for (const end of this.#checkpoint.ends) expected.set(end.id, end);
    for (const { header } of this.#headed) {
      if (header.previous.id >= nextId) expected.set(header.previous.id, header.previous);
    }
    for (const id of [...this.#formerIds, ...this.#files.map((file) => file.id)]) expected.delete(id);
    return [...expected.values()]
      .map(({ id: segmentId, endOffset: bytes }) => {
        const lostRecords = this.#openRecordsOf(segmentId);
        return { segmentId, offset: 0, bytes, lostRecords, gone: true as const };
      })
      .filter(({ lostRecords }) => lostRecords > 0)
      .sort((a, b) => a.segmentId - b.segmentId);
  }

  #locateEnds(): readonly StoredSegment[] {
    const ends = new Map<number, SegmentEnd>();
    for (const end of this.#checkpoint?.ends ?? []) if (end.closed) ends.set(end.id, end);
    for (const { header } of this.#headed) {
      if (header.previous.records > 0) ends.set(header.previous.id, header.previous);
    }
    return this.#headed.map((found) => {
      const { id, header } = found;
      const path = segmentPath(found);
      const cipher = cipherFor(header, this.#journalKey, path);
      const segment = { ...found, cipher, generation: 0 };
      if (header.compactedEnd > 0) {
        return { ...segment, endOffset: header.compactedEnd, records: header.compactedRecords };
      }
      const { endOffset, records } = ends.get(id) ?? this.#findEnd(found, cipher, path);
      return { ...segment, endOffset, records };
    });
  }

  /** Looks for the end of a segment whose writer died. */
  #findEnd({ id, header }: Headed, cipher: FrameCipher | undefined, path: string): SegmentEnd {
    this.#scanned++;
    return withFile(this.#fs, path, 'write', (written) => {
      // After a kill -9 the last groups may be in the page cache only. What is counted on must be on the disk.
      written.sync();
      const file = new SalvagedFile(written);
      const endOffset = file.size();
      const scanner = new LogScanner(file, header, cipher, { endOffset, records: undefined });
      for (let group; (group = scanner.next()) !== undefined;) {
        if (group.damage !== undefined) this.#damage.push({ segmentId: id, ...group.damage });
      }
      this.#unacknowledged += scanner.uncommitted;
      const { offset, recordNumber: found } = scanner;
      const durable = this.#checkpoint?.ends.find((end) => end.id === id)?.records ?? 0;
      const records = Math.max(found, durable);
      if (records > found) {
        const lostRecords = records - found;
        this.#damage.push({ segmentId: id, offset, bytes: endOffset - offset, lostRecords });
      } else if (file.unreadablePages === 0 && endOffset > offset) {
        // The end is in the checkpoint too; this only gives the room back.
        tryTruncate(written, offset);
      }
      return { id, endOffset: offset, records };
    });
  }
}
