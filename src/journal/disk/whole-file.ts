import type { JournalFile, JournalFs } from './journal-fs.ts';

/** Writes all of `bytes`, in as many writes as it takes. Throws what the file throws, or when nothing gets written. */
export function writeFully(file: JournalFile, bytes: Buffer, position: number): void {
  let written = 0;
  while (written < bytes.length) {
    const count = file.write(bytes.subarray(written), position + written);
    if (count <= 0) throw new ShortWriteError();
    written += count;
  }
}

/** The operating system wrote nothing and named no reason. */
class ShortWriteError extends Error {
  readonly code = 'EIO';

  constructor() {
    super('a write made no progress');
  }
}

/** Reads up to `bytes` from `position`; shorter only where the file ends. */
export function readFully(file: JournalFile, position: number, bytes: number): Buffer {
  const target = Buffer.alloc(bytes);
  let filled = 0;
  while (filled < bytes) {
    const count = file.read(target.subarray(filled), position + filled);
    if (count === 0) break;
    filled += count;
  }
  return target.subarray(0, filled);
}

export function readWhole(fs: JournalFs, path: string): Buffer {
  const file = fs.open(path, 'read');
  try {
    return readFully(file, 0, file.size());
  } finally {
    file.close();
  }
}
