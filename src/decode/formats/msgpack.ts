import { Decoder, encode } from '@msgpack/msgpack';
import { treeFormat } from './tree-reader.ts';

/*
 * MessagePack by @msgpack/msgpack. It allocates an array as long as its header says before it looks whether so
 * many elements follow, again for every array within; so a payload's structure is checked first.
 */

const decoder = new Decoder({ useBigInt64: true });

export const msgpack = treeFormat(
  {
    name: 'MessagePack',
    contentType: 'application/msgpack',
    parse(payload) {
      checkStructure(payload);
      return decoder.decode(payload);
    },
    write,
    readsItsOwn: true,
  },
  write,
);

/** Numbers that are whole become integers. */
function write(value: unknown): Uint8Array {
  return encode(value ?? null, { useBigInt64: true });
}

const MAX_DEPTH = 100;

/** By first byte from 0xc0: how many bytes follow it, before any content that they announce. */
const FIXED_BYTES: readonly number[] = [
  0, -1, 0, 0, 1, 2, 4, 2, 3, 5, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 1, 2, 4, 2, 4, 2, 4,
];

/** Throws unless the payload is one whole value with all that its lengths announce, and not too deep. */
function checkStructure(payload: Buffer): void {
  /** How many values each open array or map is still to have; one that has all is open until its last one ends. */
  const open: number[] = [1];
  let position = 0;
  for (;;) {
    while (open.at(-1) === 0) open.pop();
    const last = open.length - 1;
    if (last < 0) return;
    open[last] = (open[last] as number) - 1;
    const head = payload[position++];
    if (head === undefined) throw new Error('it ends in the middle of a value');
    let content = 0;
    let values = 0;
    if (head >= 0x80 && head < 0x90) values = 2 * (head & 0x0f);
    else if (head >= 0x90 && head < 0xa0) values = head & 0x0f;
    else if (head >= 0xa0 && head < 0xc0) content = head & 0x1f;
    else if (head >= 0xc0 && head < 0xe0) {
      const fixed = FIXED_BYTES[head - 0xc0] as number;
      if (fixed < 0) throw new Error('byte 0xc1, which is never used');
      if (position + fixed > payload.length) throw new Error('it ends in the middle of a value');
      if (head >= 0xdc) values = readUint(payload, position, fixed) * (head >= 0xde ? 2 : 1);
      else content = announced(payload, position, head);
      position += fixed;
    }
    position += content;
    if (position > payload.length || values > payload.length - position) {
      throw new Error('it announces more than it holds');
    }
    if (values > 0) open.push(values);
    if (open.length > MAX_DEPTH) throw new Error('nested too deep');
  }
}

/** The bytes that a string (str 8 to 32), binary (bin) or extension (ext) announces. */
function announced(payload: Buffer, position: number, head: number): number {
  if (head >= 0xd9) return readUint(payload, position, 1 << (head - 0xd9));
  if (head >= 0xc4 && head <= 0xc6) return readUint(payload, position, 1 << (head - 0xc4));
  if (head >= 0xc7 && head <= 0xc9) return readUint(payload, position, 1 << (head - 0xc7));
  return 0;
}

function readUint(payload: Buffer, position: number, bytes: number): number {
  return payload.readUIntBE(position, bytes);
}
