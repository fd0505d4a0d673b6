import { crc32 } from 'node:zlib';
import { type FileSystem, readFully, withFile, writeFully } from '../../durable-log/file-system.ts';
import type { SegmentEnd } from '../disk/segment-file.ts';
import type { Position } from '../journal-record.ts';

/** What is done of one segment. */
export interface SegmentProgress {
  readonly id: number;
  /** Every record below is done. */
  readonly low: number;
  /** Bits of the records done at and above `low`, from word `low / 32` on. */
  readonly bits: Uint32Array;
  /** How long it has been closed while gateways ran, milliseconds; kept where the journal has an age limit. */
  readonly closedForMs?: number;
}

/** From where on a start looks for publications that their sessions may not know: see disk/survey.ts. */
export interface RecallMark {
  readonly from: Position;
  /** Higher than the number of every publication in front of it. Files have it under this name. */
  readonly nextOrdinal: number;
}

/** What survives a restart beside the segments. */
export interface Checkpoint {
  /** Grows with every checkpoint; the highest that can be read counts. */
  readonly generation: number;
  /** Segment ids below it may be in use, in directories that can't be read now too. */
  readonly reservedId: number;
  /** How segments ended; for the one being written, how far it was durable. */
  readonly ends: readonly (SegmentEnd & { readonly closed: boolean })[];
  readonly progress: readonly SegmentProgress[];
  /** The owner's own: the ledger's balances. */
  readonly note: string;
  readonly recall: RecallMark;
}

/** Ids that a checkpoint reserves ahead, so that a directory that comes back later has none of ours. */
export const RESERVED_IDS = 1024;

const FORMAT = 1;
const CHECKPOINT_FILES = ['checkpoint-0', 'checkpoint-1'] as const;

export function isCheckpoint(name: string): boolean {
  return CHECKPOINT_FILES.some((file) => file === name);
}

export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  const body = Buffer.from(
    JSON.stringify({
      format: FORMAT,
      ...checkpoint,
      progress: checkpoint.progress.map(({ bits, ...rest }) => ({
        ...rest,
        bits: Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength).toString('base64'),
      })),
    }),
  );
  return Buffer.concat([Buffer.from(checkpointLine(body)), body]);
}

/** undefined when it is torn, damaged, or of another format. */
function decodeCheckpoint(bytes: Buffer): Checkpoint | undefined {
  const lineEnd = bytes.indexOf(0x0a);
  const length = Number(bytes.subarray(9, Math.max(9, lineEnd)).toString('latin1'));
  if (lineEnd < 0 || !Number.isSafeInteger(length)) return undefined;
  const body = bytes.subarray(lineEnd + 1, lineEnd + 1 + length);
  if (checkpointLine(body) !== bytes.subarray(0, lineEnd + 1).toString('latin1')) return undefined;
  // The checksum says that these are our own bytes.
  const { format, ...stored } = JSON.parse(body.toString('utf8')) as StoredCheckpoint;
  if (format !== FORMAT) return undefined;
  const progress = stored.progress.map(({ bits, ...rest }) => {
    // A copy of its own begins at a multiple of four bytes.
    const words = new Uint8Array(Buffer.from(bits, 'base64'));
    return { ...rest, bits: new Uint32Array(words.buffer, 0, words.length >>> 2) };
  });
  return { ...stored, progress };
}

interface StoredCheckpoint extends Omit<Checkpoint, 'progress'> {
  readonly format: number;
  readonly progress: readonly (Omit<SegmentProgress, 'bits'> & { readonly bits: string })[];
}

/** Checksum and length of the body; fixed width up to the length. */
function checkpointLine(body: Buffer): string {
  return `${crc32(body).toString(16).padStart(8, '0')} ${body.length}\n`;
}

/**
 * Writes the checkpoint durably into one of the two files, in turn, so that a crash in the middle leaves the other.
 * The file is overwritten in place: on a full disk that goes on working.
 */
export function saveCheckpoint(fs: FileSystem, directory: string, bytes: Buffer, generation: number): void {
  const path = `${directory}/${CHECKPOINT_FILES[(generation % 2) as 0 | 1]}`;
  let file;
  try {
    file = fs.open(path, 'write');
  } catch {
    file = fs.open(path, 'create');
    fs.syncDirectory(directory);
  }
  try {
    writeFully(file, bytes, 0);
    file.sync();
  } finally {
    file.close();
  }
}

/** The best checkpoint in these directories, or undefined. */
export function loadCheckpoint(fs: FileSystem, directories: readonly string[]): Checkpoint | undefined {
  let best: Checkpoint | undefined;
  for (const directory of directories) {
    const present = fs.list(directory);
    for (const name of CHECKPOINT_FILES) {
      if (!present.includes(name)) continue;
      const path = `${directory}/${name}`;
      const bytes = withFile(fs, path, 'read', (file) => readFully(file, 0, file.size()));
      const checkpoint = decodeCheckpoint(bytes);
      if (checkpoint !== undefined && checkpoint.generation > (best?.generation ?? -1)) best = checkpoint;
    }
  }
  return best;
}
