import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { HEADER_BYTES, readHeader } from '../../durable-log/file-header.ts';
import { readFirstAudit } from '../../durable-log/first-format.ts';
import type { LogDirectory } from '../../durable-log/log-directory.ts';
import { type LogPart, readGroups } from '../../durable-log/log-file.ts';
import { type AuditEntry, type AuditGap, readBlock, readGap, RecordType } from './audit-block.ts';
import { AUDIT_KIND, isSegment } from './audit-log.ts';

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
export async function* readAuditLog(directory: LogDirectory): AsyncGenerator<AuditItem> {
  for (const { name } of await directory.list()) {
    if (isSegment(name)) yield* readSegment(name, await segmentBytes(directory, name));
  }
}

/** The oldest segment may be removed by the gateway while we read. */
async function segmentBytes(directory: LogDirectory, name: string): Promise<Buffer> {
  try {
    return await directory.read(name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

async function* readSegment(segment: string, bytes: Buffer): AsyncGenerator<AuditItem> {
  let unsyncedBytes = 0;
  for (const part of partsOf(bytes)) {
    const { damagedBytes = 0, tornBytes = 0 } = part;
    if (damagedBytes > 0) yield { kind: 'damage', segment, bytes: damagedBytes };
    for (const record of part.records) {
      if (part.committed) yield await itemOf(record);
      else unsyncedBytes += record.length;
    }
    unsyncedBytes += tornBytes;
  }
  if (unsyncedBytes > 0) yield { kind: 'unsynced', segment, bytes: unsyncedBytes };
}

function partsOf(bytes: Buffer): Iterable<LogPart> {
  const [header] = readHeader(bytes, AUDIT_KIND.magic);
  if (header !== undefined) return readGroups(bytes, header);
  // A file without a header was never finished; a longer one has lost it, and nothing can be read without.
  const { length } = bytes;
  const lost = length < HEADER_BYTES ? { tornBytes: length } : { damagedBytes: length };
  return readFirstAudit(bytes) ?? [{ records: [], committed: false, ...lost }];
}

async function itemOf(record: Buffer): Promise<AuditItem> {
  if (record[0] === RecordType.Gap) return { kind: 'gap', gap: readGap(record) };
  return { kind: 'entries', entries: [...readBlock(await decompress(record.subarray(1)))] };
}
