import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { type AuditEntry, type AuditGap, readBlock } from './audit-block.ts';
import type { AuditFiles } from './audit-files.ts';
import { isSegment } from './audit-log.ts';
import { FrameType, readFrames } from './frame.ts';

const decompress = promisify(zstdDecompress);

/** What an audit log holds, in the order in which it was written. */
export type AuditItem =
  | { readonly kind: 'entries'; readonly entries: readonly AuditEntry[] }
  | { readonly kind: 'gap'; readonly gap: AuditGap }
  /** Bytes that were written after all and are something else now: entries may be missing that were synced. */
  | { readonly kind: 'damage'; readonly segment: string; readonly bytes: number }
  /** Bytes at the end of a segment of which it isn't known that they were synced: not to be judged. */
  | { readonly kind: 'unsynced'; readonly segment: string; readonly bytes: number };

/** Reads an audit log, also while a gateway writes it: one block at a time is in memory. */
export async function* readAuditLog(files: AuditFiles): AsyncGenerator<AuditItem> {
  for (const { name } of await files.list()) {
    if (isSegment(name)) yield* readSegment(name, await segmentBytes(files, name));
  }
}

/** The oldest segment may be removed by the gateway while we read. */
async function segmentBytes(files: AuditFiles, name: string): Promise<Buffer> {
  try {
    return await files.read(name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

async function* readSegment(segment: string, bytes: Buffer): AsyncGenerator<AuditItem> {
  /** Entries and gaps that no mark stands behind yet. */
  let pending: { readonly type: number; readonly body: Buffer }[] = [];
  let unsyncedBytes = 0;
  for (const frame of readFrames(bytes)) {
    if ('damagedBytes' in frame) yield { kind: 'damage', segment, bytes: frame.damagedBytes };
    else if ('tornBytes' in frame) unsyncedBytes += frame.tornBytes;
    else if (frame.type === FrameType.Synced) {
      for (const synced of pending) yield await itemOf(synced);
      pending = [];
    } else pending.push(frame);
  }
  for (const { body } of pending) unsyncedBytes += body.length;
  if (unsyncedBytes > 0) yield { kind: 'unsynced', segment, bytes: unsyncedBytes };
}

async function itemOf({ type, body }: { readonly type: number; readonly body: Buffer }): Promise<AuditItem> {
  if (type === FrameType.Entries) return { kind: 'entries', entries: [...readBlock(await decompress(body))] };
  const gap = { fromMs: body.readDoubleLE(0), toMs: body.readDoubleLE(8), entries: body.readDoubleLE(16) };
  return { kind: 'gap', gap };
}
