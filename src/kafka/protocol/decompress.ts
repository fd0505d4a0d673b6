import { zstdDecompress } from 'node:zlib';
import { promisify } from 'node:util';

/** Of snappy-java's stream, which all Kafka clients write; raw snappy begins with a length. */
const XERIAL_MAGIC = Buffer.from([0x82, ...Buffer.from('SNAPPY\0')]);
const XERIAL_HEADER_BYTES = 16;

/** Records as Kafka clients compress them with snappy: blocks in snappy-java's stream format, or one raw block. */
export async function decompressSnappy(compressed: Buffer): Promise<Buffer> {
  if (!compressed.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return snappyBlock(compressed);
  const blocks: Buffer[] = [];
  for (let position = XERIAL_HEADER_BYTES; position < compressed.length;) {
    const start = position + 4;
    position = start + compressed.readInt32BE(position);
    if (position > compressed.length) throw new RangeError('a snappy block ends behind the batch');
    blocks.push(await snappyBlock(compressed.subarray(start, position)));
  }
  return Buffer.concat(blocks);
}

async function snappyBlock(block: Buffer): Promise<Buffer> {
  // Loaded where it is used: a native library takes 2 MB.
  const { uncompress } = await import('snappy');
  return (await uncompress(block, { asBuffer: true })) as Buffer;
}

export const decompressZstd: (compressed: Buffer) => Promise<Buffer> = promisify(zstdDecompress);
