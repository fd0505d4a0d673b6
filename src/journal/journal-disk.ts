import { errorMessage } from '../core/errors.ts';
import {
  type Checkpoint,
  encodeCheckpoint,
  type RecallMark,
  saveCheckpoint,
  type SegmentProgress,
} from './checkpoint.ts';
import { Compaction } from './compaction.ts';
import { DiskFaultError, faultOf } from './disk-fault.ts';
import type {
  CommitResult,
  CompactResult,
  DiskCursor,
  DiskFault,
  DiskOperations,
  DiskSettings,
  DiskState,
  OpenResult,
  Placement,
  ReadResult,
  SegmentInfo,
  Survey,
} from './disk-port.ts';
import { loadKey } from './encryption.ts';
import { JournalError, JournalUnavailableError } from './errors.ts';
import { FinishedFiles, REMOVED_TOGETHER } from './finished-files.ts';
import type { JournalFs } from './journal-fs.ts';
import { MAX_SEGMENT_ID } from './position.ts';
import { recallPublications } from './recall.ts';
import { recover } from './recovery.ts';
import { SegmentReader } from './segment-reader.ts';
import { segmentPath, type StoredSegment } from './segment-files.ts';
import { newHeader, type SegmentEnd } from './segment-header.ts';
import { type Chunk, SegmentWriter } from './segment-writer.ts';
import { surveySegment } from './survey.ts';

/** Ids that a checkpoint reserves ahead, so that a directory that comes back later has none of ours. */
const RESERVED_IDS = 1024;
const NOTHING = new Uint32Array(0);
const NOTHING_OPEN: Survey = { owners: [], ordinals: NOTHING, ownerOf: NOTHING };

export interface DiskEnvironment {
  readonly fs: JournalFs;
  readonly wallMs: () => number;
}

/**
 * Everything that touches the journal's files, in blocking calls: it lives in a thread of its own, so that a disk
 * that hangs stops neither the event loop nor the thread pool that compression shares.
 */
export class JournalDisk implements DiskOperations {
  readonly #fs: JournalFs;
  readonly #wallMs: () => number;
  #settings: DiskSettings | undefined;
  #key: Buffer | undefined;
  readonly #unlocks: (() => void)[] = [];
  /** Closed segments, oldest first. */
  readonly #segments = new Map<number, StoredSegment>();
  #closedBytes = 0;
  #newlyClosed: SegmentInfo[] = [];
  /** Segments that nobody needs any more, until their removal is durable: a loss of power may bring a file back. */
  readonly #leaving = new Map<number, StoredSegment>();
  #current: SegmentWriter | undefined;
  /** How the last segment that this life wrote ended. */
  #previous: SegmentEnd = { id: 0, endOffset: 0, records: 0 };
  readonly #finishedFiles: FinishedFiles;
  #nextId = 1;
  #generation = 0;
  #progress: readonly SegmentProgress[] = [];
  #note = '';
  #recall: RecallMark = { from: 0, nextOrdinal: 1 };
  readonly #reader: SegmentReader;
  #compaction: Compaction | undefined;
  /** Directories whose last write failed. */
  readonly #faults = new Map<string, DiskFault>();

  constructor(environment: DiskEnvironment) {
    this.#fs = environment.fs;
    this.#wallMs = environment.wallMs;
    this.#reader = new SegmentReader(environment.fs);
    this.#finishedFiles = new FinishedFiles(environment.fs);
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
        this.#unlocks.push(this.#fs.lock(directory));
      }
      const { checkpoint, segments, report, spares, nextId } = recover(
        this.#fs,
        settings.directories,
        this.#key,
      );
      for (const segment of segments) this.#add(segment);
      this.#finishedFiles.found(spares);
      this.#nextId = nextId;
      this.#previous = { id: nextId - 1, endOffset: 0, records: 0 };
      this.#generation = checkpoint?.generation ?? 0;
      this.#progress = checkpoint?.progress.filter(({ id }) => this.#segments.has(id)) ?? [];
      this.#note = checkpoint?.note ?? '';
      this.#recall = checkpoint?.recall ?? this.#recall;
      const recalled = recallPublications(this.#fs, segments, this.#recall);
      // The ends that were just found need not be looked for again.
      const fault = this.#save();
      return { state: this.#state(), progress: this.#progress, note: this.#note, recalled, report, fault };
    } catch (error) {
      this.#unlock();
      if (error instanceof JournalError) throw error;
      throw new JournalUnavailableError(at, errorMessage(error), { cause: error });
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
          written.push({ segmentId: writer.id, firstOrdinal: writer.write(chunk, this.#wallMs()) });
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
      const { header, cipher } = newHeader({ id, createdAtMs: nowMs, previous: this.#previous }, this.#key);
      const spare = this.#finishedFiles.takeSpare(directory);
      try {
        this.#current = new SegmentWriter(header, cipher, { fs: this.#fs, directory, segmentBytes, spare });
        return this.#current;
      } catch (error) {
        this.#fail(directory, error, failed);
        this.#tryRemove(segmentPath({ id, directory }));
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
      this.#tryRemove(segmentPath(stored));
      return;
    }
    this.#add(stored);
    this.#previous = { id: stored.id, endOffset: stored.endOffset, records: stored.records };
  }

  #add(segment: StoredSegment): void {
    const { id, endOffset: bytes, records } = segment;
    this.#segments.set(id, segment);
    this.#closedBytes += bytes;
    this.#newlyClosed.push({ id, bytes, records });
  }

  #take(id: number): StoredSegment | undefined {
    const segment = this.#segments.get(id);
    if (segment === undefined) return undefined;
    this.#segments.delete(id);
    this.#closedBytes -= segment.endOffset;
    return segment;
  }

  read(cursor: DiskCursor, maxBytes: number): ReadResult {
    const current = this.#current;
    const durable: StoredSegment | undefined =
      current === undefined || current.durableRecords === 0
        ? undefined
        : {
            id: current.id,
            directory: current.directory,
            header: current.header,
            cipher: current.cipher,
            endOffset: current.durableOffset,
            records: current.durableRecords,
            generation: 0,
          };
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
      const segment = this.#take(id);
      if (segment !== undefined) this.#leaving.set(id, segment);
    }
    const fault = this.#save();
    // Also when the checkpoint could not be written: on a full disk this is what makes room for the next one.
    this.#clearAway();
    if (fault !== undefined) throw new DiskFaultError(fault);
    return this.#state();
  }

  /** Writes the checkpoint to every directory that takes it; a fault if none does. */
  #save(): DiskFault | undefined {
    const ends: Checkpoint['ends'][number][] = [];
    for (const { id, endOffset, records } of [...this.#leaving.values(), ...this.#segments.values()]) {
      ends.push({ id, endOffset, records, closed: true });
    }
    const current = this.#current;
    if (current !== undefined) {
      const { id, durableOffset: endOffset, durableRecords: records } = current;
      ends.push({ id, endOffset, records, closed: false });
    }
    const checkpoint: Checkpoint = {
      generation: ++this.#generation,
      reservedId: this.#nextId + RESERVED_IDS,
      ends,
      progress: [
        ...this.#progress.filter(({ id }) => !this.#leaving.has(id)),
        ...[...this.#leaving.values()].map(({ id, records }) => ({ id, low: records, bits: NOTHING })),
      ],
      note: this.#note,
      recall: this.#recall,
    };
    const bytes = encodeCheckpoint(checkpoint);
    let fault: DiskFault | undefined;
    let saved = false;
    for (const directory of this.#directories) {
      try {
        saveCheckpoint(this.#fs, directory, bytes, this.#generation);
        saved = true;
      } catch (error) {
        fault ??= faultOf(error, directory);
      }
    }
    return saved ? undefined : fault;
  }

  clear(): boolean {
    return this.#finishedFiles.giveBack() && !this.#clearAway();
  }

  /** Removes files of segments that nobody needs, and forgets a segment when that is durable. True: some are gone. */
  #clearAway(): boolean {
    let isProgress = false;
    for (const directory of this.#directories) {
      const removed: number[] = [];
      for (const segment of this.#leaving.values()) {
        if (segment.directory !== directory) continue;
        if (this.#release(segment)) removed.push(segment.id);
        if (removed.length === REMOVED_TOGETHER) break;
      }
      if (removed.length === 0) continue;
      try {
        this.#fs.syncDirectory(directory);
        for (const id of removed) this.#leaving.delete(id);
        isProgress = true;
      } catch {
        // Tried again with the next checkpoint, which still says that they are done.
      }
    }
    return isProgress;
  }

  /** Removes a segment's file, or keeps it as the directory's spare; false if the disk does not let us. */
  #release(segment: StoredSegment): boolean {
    this.#reader.forget(segment.id);
    if (this.#compaction?.id === segment.id) this.#abandonCompaction();
    const { segmentBytes, maxBytes } = this.#settings as DiskSettings;
    const worthKeeping =
      segment.endOffset > segmentBytes / 2 && this.#usedBytes + segmentBytes < maxBytes / 2;
    return (
      (worthKeeping && this.#finishedFiles.keepAsSpare(segment)) ||
      this.#finishedFiles.remove(segmentPath(segment))
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
    this.#finishedFiles.close();
    this.#unlock();
  }

  #unlock(): void {
    for (const unlock of this.#unlocks.splice(0)) unlock();
  }

  /** A file that is left over is void by its successor's header, or done by the checkpoint. */
  #tryRemove(path: string): boolean {
    try {
      this.#fs.remove(path);
      return true;
    } catch {
      return false;
    }
  }

  get #usedBytes(): number {
    return this.#closedBytes + (this.#current?.fileBytes ?? 0);
  }

  #state(): DiskState {
    const current = this.#current;
    const closed = this.#newlyClosed;
    this.#newlyClosed = [];
    return {
      closed,
      current:
        current === undefined
          ? undefined
          : { id: current.id, bytes: current.durableOffset, records: current.durableRecords },
      usedBytes: this.#usedBytes,
    };
  }
}
