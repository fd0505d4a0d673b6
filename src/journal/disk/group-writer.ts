import { TAG_BYTES, type SegmentCipher } from './encryption.ts';
import {
  bodyBytesAt,
  COMMIT_FRAME_BYTES,
  FRAME_HEADER_BYTES,
  frameCrc,
  FrameType,
  type SegmentSeed,
  sealFrames,
  writeCommit,
  writeFrameHeader,
} from './frame.ts';

/** What a bit of damage can take along when records are encrypted: one sealed frame. */
const SEALED_PLAIN_BYTES = 64 << 10;
const SEALED_OVERHEAD_BYTES = FRAME_HEADER_BYTES + 4 + TAG_BYTES;

export interface Group {
  /** Of the record frames, without the commit frame. */
  readonly bytes: number;
  readonly records: number;
  readonly firstOrdinal: number;
}

/** Turns record frames with blank CRCs into a group as it stands in a file: in the clear, or sealed. */
export class GroupWriter {
  readonly #seed: SegmentSeed;
  readonly #cipher: SegmentCipher | undefined;

  constructor(seed: SegmentSeed, cipher: SegmentCipher | undefined) {
    this.#seed = seed;
    this.#cipher = cipher;
  }

  /** Bytes that a group takes at most. */
  boundBytes(plainBytes: number): number {
    const runs = this.#cipher === undefined ? 0 : 2 + Math.ceil((2 * plainBytes) / SEALED_PLAIN_BYTES);
    return plainBytes + runs * SEALED_OVERHEAD_BYTES + COMMIT_FRAME_BYTES;
  }

  /**
   * The group's bytes for `offset` of the segment, its commit frame included. `plain` has room for that behind its
   * frames and is written to; without encryption it is what is returned.
   */
  encode(plain: Buffer, group: Group, offset: number, wallMs: number): Buffer {
    let target = plain;
    let end = group.bytes;
    if (this.#cipher === undefined) sealFrames(plain, 0, group.bytes, offset, this.#seed.crcSeed);
    else [target, end] = this.#encrypt(this.#cipher, plain, group.bytes, offset);
    const commit = { startOffset: offset, firstOrdinal: group.firstOrdinal, records: group.records };
    writeCommit(target, end, offset + end, this.#seed, commit, wallMs);
    return target.subarray(0, end + COMMIT_FRAME_BYTES);
  }

  #encrypt(cipher: SegmentCipher, plain: Buffer, plainBytes: number, offset: number): [Buffer, number] {
    const target = Buffer.allocUnsafe(this.boundBytes(plainBytes));
    let at = 0;
    for (let start = 0; start < plainBytes;) {
      const { end, records } = nextRun(plain, start, plainBytes);
      writeFrameHeader(target, at, FrameType.Sealed, 4 + end - start + TAG_BYTES);
      target.writeUInt32LE(records, at + FRAME_HEADER_BYTES);
      const body = at + FRAME_HEADER_BYTES + 4;
      const next = cipher.seal(plain.subarray(start, end), offset + at, target, body);
      target.writeUInt32LE(frameCrc(target, at, offset + at, this.#seed.crcSeed), at);
      at = next;
      start = end;
    }
    return [target, at];
  }
}

/** The frames from `start` on that are sealed together. */
function nextRun(
  plain: Buffer,
  start: number,
  plainBytes: number,
): { readonly end: number; readonly records: number } {
  let end = start;
  let records = 0;
  while (end < plainBytes) {
    const next = end + FRAME_HEADER_BYTES + bodyBytesAt(plain, end);
    if (records > 0 && next - start > SEALED_PLAIN_BYTES) break;
    end = next;
    records++;
  }
  return { end, records };
}
