import { errorMessage } from '../../core/errors.ts';
import { type DirectoryLock, DirectoryLockedError } from '../../durable-log/directory-lock.ts';
import { type FileSystem, tryRemove } from '../../durable-log/file-system.ts';
import { JournalError, unavailable } from '../errors.ts';
import { MAX_SEGMENT_ID } from '../journal-record.ts';
import {
  encodeCheckpoint,
  type RecallMark,
  RESERVED_IDS,
  saveCheckpoint,
  type SegmentProgress,
} from '../recovery/checkpoint.ts';
import { Recovery } from '../recovery/recovery.ts';
import { Compaction } from './compaction.ts';
import {
  type CommitResult,
  type CompactResult,
  type DiskCursor,
  type DiskFault,
  DiskFaultError,
  type DiskOperations,
  type DiskSettings,
  type DiskState,
  faultOf,
  type OpenResult,
  type Placement,
  type ReadResult,
  type Survey,
} from './disk-port.ts';
import { loadKey } from './journal-key.ts';
import { newHeader, type SegmentEnd, segmentPath, type StoredSegment } from './segment-file.ts';
import { SegmentReader } from './segment-reader.ts';
import { SegmentRemoval } from './segment-removal.ts';
import { type Chunk, SegmentWriter } from './segment-writer.ts';
import { recallPublications, surveySegment } from './survey.ts';

const NOTHING = new Uint32Array(0);
const NOTHING_OPEN: Survey = { owners: [], recordNumbers: NOTHING, ownerOf: NOTHING };

/**
 * Everything that touches the journal's files, in blocking calls: it lives in a thread of its own, so that a disk
 * that hangs stops neither the event loop nor the thread pool that compression shares.
 */
export class JournalDisk implements DiskOperations {
  readonly #fs: FileSystem;
  readonly #wallMs: () => number;
  #settings: DiskSettings | undefined;
  #key: Buffer | undefined;
  readonly #isThere: (directory: string) => boolean;
  readonly #locks = new Map<string, DirectoryLock>();
  /** Closed segments, oldest first. */
  readonly #segments = new Map<number, StoredSegment>();
  #closedBytes = 0;
  #newlyClosed: SegmentEnd[] = [];
  readonly #removal: SegmentRemoval;
  #current: SegmentWriter | undefined;
  /** How the last segment that this life wrote ended. */
  #previous: SegmentEnd = { id: 0, endOffset: 0, records: 0 };
  #nextId = 1;
  #generation = 0;
  /** The last checkpoint could be written. */
  #isSaved = false;
  #progress: readonly SegmentProgress[] = [];
  #note = '';
  #recall: RecallMark = { from: 0, nextOrdinal: 1 };
  readonly #reader: SegmentReader;
  #compaction: Compaction | undefined;
  /** Directories whose last write failed: to a segment, or of a checkpoint where another one has the segment. */
  readonly #faults = new Map<string, DiskFault>();

  constructor(fs: FileSystem, wallMs: () => number) {
    this.#fs = fs;
    this.#wallMs = wallMs;
    const isThere = (directory: string): boolean => this.#locks.get(directory)?.isThere() === true;
    this.#isThere = isThere;
    this.#reader = new SegmentReader(fs, isThere);
    this.#removal = new SegmentRemoval(fs, isThere);
  }

  get #directories(): readonly string[] {
    return this.#settings?.directories ?? [];
  }

  /** @throws JournalError: locked, unavailable, a newer version's, or the wrong key */
  open(settings: DiskSettings): OpenResult {
    this.#key = settings.key === undefined ? undefined : loadKey(settings.key);
    this.#settings = settings;
    let at = '';
    try {
      for (const directory of settings.directories) {
        at = directory;
        this.#fs.ensureDirectory(directory);
        this.#locks.set(directory, this.#lock(directory));
      }
      const found = new Recovery(this.#fs, settings.directories, this.#key).run();
      const { checkpoint, segments, report, nextId } = found;
      for (const segment of segments) this.#add(segment);
      for (const directory of found.spares) this.#removal.files.spares.add(directory);
      this.#nextId = nextId;
      this.#previous = { id: nextId - 1, endOffset: 0, records: 0 };
      this.#generation = checkpoint?.generation ?? 0;
      this.#progress = checkpoint?.progress.filter(({ id }) => this.#segments.has(id)) ?? [];
      this.#note = checkpoint?.note ?? '';
      this.#recall = checkpoint?.recall ?? this.#recall;
      const recalled = recallPublications(this.#fs, segments, this.#recall);
      // The ends that were just found need not be looked for again.
      if (this.#save() === undefined) for (const path of found.finished) tryRemove(this.#fs, path);
      return { state: this.#state(), progress: this.#progress, note: this.#note, recalled, report };
    } catch (error) {
      this.#unlock();
      if (error instanceof JournalError) throw error;
      throw unavailable(at, errorMessage(error), { cause: error });
    }
  }

  #lock(directory: string): DirectoryLock {
    try {
      return this.#fs.lock(directory);
    } catch (error) {
      if (error instanceof DirectoryLockedError) throw inUse(directory, error);
      throw unavailable(directory, `no lock: ${errorMessage(error)}`, { cause: error });
    }
  }

  /** Without chunks: only closes a segment that is old enough. */
  commit(chunks: readonly Chunk[]): CommitResult {
    const { segmentMaxAgeMs } = this.#settings as DiskSettings;
    if (this.#current?.isOld(this.#wallMs(), segmentMaxAgeMs) === true) this.#closeCurrent();
    const placements: Placement[] = [];
    const failed = new Set<string>();
    let syncs = 0;
    while (placements.length < chunks.length) {
      const writer = this.#writerFor(chunks[placements.length] as Chunk, failed);
      if (writer === undefined) break;
      try {
        const written: Placement[] = [];
        for (const chunk of chunks.slice(placements.length)) {
          if (!writer.hasRoom(chunk)) break;
          written.push({ segmentId: writer.id, firstNumber: writer.write(chunk, this.#wallMs()) });
        }
        writer.sync();
        syncs++;
        placements.push(...written);
        this.#faults.delete(writer.directory);
      } catch (error) {
        // Nothing of this segment is trusted any more that was not durable before: it is written again elsewhere.
        this.#fail(writer.directory, error, failed);
        this.#closeCurrent();
      }
    }
    const fault = this.#directories.flatMap((directory) => this.#faults.get(directory) ?? [])[0];
    return { placements, fault, syncs, state: this.#state() };
  }

  #fail(directory: string, error: unknown, failed: Set<string>): void {
    failed.add(directory);
    this.#faults.set(directory, faultOf(error, directory));
  }

  /** The segment to write to, in the first directory that works; undefined when none does. */
  #writerFor(chunk: Chunk, failed: Set<string>): SegmentWriter | undefined {
    const { segmentBytes } = this.#settings as DiskSettings;
    if (this.#current?.hasRoom(chunk) === true) return this.#current;
    this.#closeCurrent();
    const nowMs = this.#wallMs();
    for (const directory of this.#directories) {
      if (failed.has(directory)) continue;
      const id = this.#nextId++;
      if (id > MAX_SEGMENT_ID) throw new JournalError('JOURNAL_EXHAUSTED', 'no segment ids are left');
      const header = newHeader({ id, createdAtMs: nowMs, previous: this.#previous }, this.#key);
      try {
        this.#expect(directory);
        const spare = this.#removal.files.spares.delete(directory);
        this.#current = new SegmentWriter(this.#fs, directory, header, segmentBytes, spare);
        return this.#current;
      } catch (error) {
        this.#fail(directory, error, failed);
        tryRemove(this.#fs, segmentPath({ id, directory }));
      }
    }
    return undefined;
  }

  #closeCurrent(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    const stored = current.finish();
    if (stored.records === 0) {
      tryRemove(this.#fs, segmentPath(stored));
      return;
    }
    this.#add(stored);
    this.#previous = endOf(stored);
  }

  #add(segment: StoredSegment): void {
    this.#segments.set(segment.id, segment);
    this.#closedBytes += segment.endOffset;
    this.#newlyClosed.push(endOf(segment));
  }

  read(cursor: DiskCursor, maxBytes: number): ReadResult {
    const durable = (this.#current?.durableRecords ?? 0) > 0 ? this.#current?.stored : undefined;
    return this.#reader.read(this.#segments, durable, cursor, maxBytes);
  }

  checkpoint(
    progress: readonly SegmentProgress[],
    finished: readonly number[],
    note: string,
    recall: RecallMark,
  ): DiskState {
    this.#progress = progress;
    this.#note = note;
    this.#recall = recall;
    for (const id of finished) {
      const segment = this.#segments.get(id);
      if (segment === undefined) continue;
      this.#segments.delete(id);
      this.#closedBytes -= segment.endOffset;
      this.#reader.forget(id);
      if (this.#compaction?.id === id) this.#abandonCompaction();
      this.#removal.leaving.set(id, segment);
    }
    const fault = this.#save();
    if (fault !== undefined) {
      // On a full disk this is what makes room for the next one.
      this.#removal.empty();
      throw new DiskFaultError(fault);
    }
    this.#clearAway();
    return this.#state();
  }

  /** Writes the checkpoint to every directory that takes it; a fault if none does. */
  #save(): DiskFault | undefined {
    const leaving = [...this.#removal.leaving.values()];
    const closed = [...leaving, ...this.#segments.values()];
    const current = this.#current === undefined ? [] : [this.#current.stored];
    const bytes = encodeCheckpoint({
      generation: ++this.#generation,
      reservedId: this.#nextId + RESERVED_IDS,
      ends: [
        ...closed.map((segment) => ({ ...endOf(segment), closed: true })),
        ...current.map((segment) => ({ ...endOf(segment), closed: false })),
      ],
      progress: [
        ...this.#progress.filter(({ id }) => !this.#removal.leaving.has(id)),
        ...leaving.map(({ id, records }) => ({ id, low: records, bits: NOTHING })),
      ],
      note: this.#note,
      recall: this.#recall,
    });
    let fault: DiskFault | undefined;
    let saved = false;
    for (const directory of this.#directories) {
      try {
        this.#expect(directory);
        saveCheckpoint(this.#fs, directory, bytes, this.#generation);
        saved = true;
        if (this.#isStandby(directory)) this.#faults.delete(directory);
      } catch (error) {
        fault ??= faultOf(error, directory);
        if (this.#isStandby(directory)) this.#faults.set(directory, faultOf(error, directory));
      }
    }
    this.#isSaved = saved;
    return saved ? undefined : fault;
  }

  /** No segment is tried in it as long as the one that is written to works: only checkpoints show how it is. */
  #isStandby(directory: string): boolean {
    const current = this.#current?.directory;
    return current !== undefined && this.#directories.indexOf(directory) > this.#directories.indexOf(current);
  }

  clear(): boolean {
    return this.#removal.files.giveBack() && !(this.#isSaved && this.#clearAway());
  }

  /** Removes files of segments that the last checkpoint says are done. True: some are gone. */
  #clearAway(): boolean {
    const { segmentBytes, maxBytes } = this.#settings as DiskSettings;
    return this.#removal.clearAway(
      ({ endOffset }) => endOffset > segmentBytes / 2 && this.#usedBytes + segmentBytes < maxBytes / 2,
    );
  }

  compact(progress: SegmentProgress): CompactResult {
    const segment = this.#segments.get(progress.id);
    if (segment === undefined) return { finished: true, bytes: 0, state: this.#state() };
    if (this.#compaction !== undefined && this.#compaction.id !== progress.id) this.#abandonCompaction();
    const before = segment.endOffset;
    let finished: boolean;
    try {
      this.#compaction ??= new Compaction(this.#fs, segment, this.#key);
      finished = this.#compaction.step(progress);
    } catch (error) {
      this.#abandonCompaction();
      throw new DiskFaultError(faultOf(error, segment.directory), { cause: error });
    }
    if (finished) {
      this.#compaction = undefined;
      this.#reader.forget(segment.id);
      this.#closedBytes += segment.endOffset - before;
    }
    return { finished, bytes: segment.endOffset, state: this.#state() };
  }

  #abandonCompaction(): void {
    this.#compaction?.abandon();
    this.#compaction = undefined;
  }

  survey(progress: SegmentProgress): Survey {
    const segment = this.#segments.get(progress.id);
    if (segment === undefined) return NOTHING_OPEN;
    try {
      return surveySegment(this.#fs, segment, progress);
    } catch (error) {
      throw new DiskFaultError(faultOf(error, segment.directory), { cause: error });
    }
  }

  close(): void {
    this.#abandonCompaction();
    this.#closeCurrent();
    this.#save();
    this.#reader.close();
    this.#removal.files.close();
    this.#unlock();
  }

  #unlock(): void {
    for (const lock of this.#locks.values()) lock.release();
    this.#locks.clear();
  }

  /** @throws JournalError JOURNAL_DIRECTORY_GONE: its path leads nowhere, or elsewhere: its disk was unplugged */
  #expect(directory: string): void {
    if (this.#isThere(directory)) return;
    const fault = `${directory} is not the directory that the journal was opened in: mount its disk again`;
    throw new JournalError('JOURNAL_DIRECTORY_GONE', fault);
  }

  get #usedBytes(): number {
    return this.#closedBytes + (this.#current?.fileBytes ?? 0);
  }

  #state(): DiskState {
    const current = this.#current === undefined ? undefined : endOf(this.#current.stored);
    const closed = this.#newlyClosed;
    this.#newlyClosed = [];
    return { closed, current, usedBytes: this.#usedBytes };
  }
}

function endOf({ id, endOffset, records }: StoredSegment): SegmentEnd {
  return { id, endOffset, records };
}

/** Another process has the journal. */
function inUse(directory: string, error: DirectoryLockedError): JournalError {
  const fault = `the journal in ${directory} is in use by ${error.owner ?? 'another process'}`;
  const advice = 'stop that gateway, or give this one a directory of its own';
  return new JournalError('JOURNAL_LOCKED', `${fault}; ${advice}`, { cause: error });
}
