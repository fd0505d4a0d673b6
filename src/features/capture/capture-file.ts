import { once } from 'node:events';
import { closeSync, createReadStream, createWriteStream, openSync, readSync } from 'node:fs';
import type { WriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { constants, createGunzip, createGzip, type Gzip } from 'node:zlib';
import { errorMessage, SluiceError } from '../../core/errors.ts';
import { parseLine, type CaptureLine } from './captured-message.ts';

/** A capture file that can't be read or written, or is none: what, at which line, and what can be done. */
export class CaptureError extends SluiceError {}

/** The largest packet of MQTT in base64, and what stands around it. */
const MAX_LINE_BYTES = 368_000_000;
/** What gzip holds back at most before it is in the file, if messages come. */
const FLUSH_MS = 1_000;

/** What a capture file holds, in order. `cut`: its end is missing, as after a kill -9 or a full disk. */
export type CaptureEntry = CaptureLine | { readonly kind: 'cut' };

/**
 * Reads a capture; one that is compressed is recognised by its first bytes. In memory is one line at a time.
 * @throws CaptureError CAPTURE_UNREADABLE, CAPTURE_INVALID
 */
export async function* readCapture(file: string): AsyncGenerator<CaptureEntry> {
  let number = 0;
  let begun = false;
  try {
    for await (const { text, whole } of linesOf(bytesOf(file))) {
      number++;
      const line = parseLine(text);
      if (typeof line === 'string') {
        if (!whole && begun) yield { kind: 'cut' };
        else throw invalid(file, number, line);
        return;
      }
      if (!begun && line.kind !== 'begin') throw invalid(file, number, 'no capture begins like that');
      begun = true;
      yield line;
    }
  } catch (error) {
    if (error instanceof CaptureError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'Z_BUF_ERROR' || !begun) {
      const problem = `${file} can't be read: ${errorMessage(error)}`;
      throw new CaptureError('CAPTURE_UNREADABLE', problem, { cause: error });
    }
    // gzip's end is missing; whatever came before it has been read.
    yield { kind: 'cut' };
  }
  if (!begun) throw invalid(file, 1, 'nothing in it');
}

function invalid(file: string, line: number, what: string): CaptureError {
  const expected = 'expected a line of a capture, as `sluice capture` writes them';
  return new CaptureError('CAPTURE_INVALID', `${file}:${line}: ${what}; ${expected}`);
}

function bytesOf(file: string): AsyncIterable<Buffer> {
  const compressed = isGzip(file);
  const stream = createReadStream(file);
  if (!compressed) return stream as AsyncIterable<Buffer>;
  const gunzip = createGunzip();
  stream.once('error', (error) => gunzip.destroy(error));
  return stream.pipe(gunzip) as AsyncIterable<Buffer>;
}

function isGzip(file: string): boolean {
  const descriptor = openSync(file, 'r');
  try {
    const magic = Buffer.alloc(2);
    return readSync(descriptor, magic, 0, 2, 0) === 2 && magic.readUInt16BE(0) === 0x1f8b;
  } finally {
    closeSync(descriptor);
  }
}

/** A line of text, without its break; not `whole`: the last one, and it has none. */
export interface TextLine {
  readonly text: string;
  readonly whole: boolean;
}

/** Cuts bytes into lines at LF alone: JSON may hold other line breaks of Unicode. Empty lines are left out. */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<TextLine> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let position = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, position);
      if (end < 0) break;
      parts.push(chunk.subarray(position, end));
      const text = Buffer.concat(parts).toString('utf8');
      if (text.trim() !== '') yield { text, whole: true };
      parts = [];
      length = 0;
      position = end + 1;
    }
    const rest = chunk.subarray(position);
    length += rest.length;
    if (length > MAX_LINE_BYTES) {
      throw new CaptureError('CAPTURE_INVALID', `a line of more than ${MAX_LINE_BYTES} bytes is no message`);
    }
    if (rest.length > 0) parts.push(rest);
  }
  if (length > 0) yield { text: Buffer.concat(parts).toString('utf8'), whole: false };
}

/** Writes a capture file, line by line; it only ever grows. A name that ends in `.gz` is compressed. */
export class CaptureWriter {
  readonly #file: string;
  readonly #output: WriteStream;
  readonly #gzip: Gzip | undefined;
  #failure: Error | undefined;
  #flushedAt = performance.now();
  /** Bytes of lines so far, before compression. */
  bytes = 0;

  private constructor(file: string, output: WriteStream) {
    this.#file = file;
    this.#output = output;
    const fail = (error: Error): void => {
      this.#failure ??= error;
    };
    output.on('error', fail);
    if (file.endsWith('.gz')) {
      this.#gzip = createGzip();
      this.#gzip.on('error', fail).pipe(output);
    }
  }

  /**
   * Opens a new file, readable to its owner alone: payloads may be nobody else's business. With `append` also one
   * that is there, if it is a capture whose end is whole.
   * @throws CaptureError CAPTURE_EXISTS, CAPTURE_CUT, CAPTURE_UNWRITABLE, and those of {@link readCapture}
   */
  static async open(file: string, append: boolean): Promise<CaptureWriter> {
    if (append) await checkEnd(file);
    const output = createWriteStream(file, { flags: append ? 'a' : 'wx', mode: 0o600, flush: true });
    try {
      await once(output, 'open');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
        const message = `${file} exists already: take another name, or --append to go on behind it`;
        throw new CaptureError('CAPTURE_EXISTS', message);
      }
      throw unwritable(file, error);
    }
    return new CaptureWriter(file, output);
  }

  /** Writes a line with its break; resolves when there is room for more. */
  async write(line: string): Promise<void> {
    if (this.#failure !== undefined) throw unwritable(this.#file, this.#failure);
    this.bytes += Buffer.byteLength(line, 'utf8');
    const first = this.#gzip ?? this.#output;
    const room = first.write(line);
    const now = performance.now();
    if (this.#gzip !== undefined && now - this.#flushedAt > FLUSH_MS) {
      this.#flushedAt = now;
      this.#gzip.flush(constants.Z_SYNC_FLUSH);
    }
    if (!room) await this.#drained(first);
  }

  async #drained(first: Writable): Promise<void> {
    const settled = new AbortController();
    const { signal } = settled;
    try {
      // An error ends the wait too: `once` rejects.
      await Promise.race([once(first, 'drain', { signal }), once(this.#output, 'close', { signal })]);
    } catch (error) {
      throw unwritable(this.#file, error);
    } finally {
      settled.abort();
    }
  }

  /** Resolves when everything is on the disk. */
  async close(): Promise<void> {
    (this.#gzip ?? this.#output).end();
    try {
      await finished(this.#output);
    } catch (error) {
      throw unwritable(this.#file, this.#failure ?? error);
    }
  }
}

function unwritable(file: string, error: unknown): CaptureError {
  const message = `${file} can't be written: ${errorMessage(error)}`;
  return new CaptureError('CAPTURE_UNWRITABLE', message, { cause: error });
}

/** What is behind a cut end could not be read any more. */
async function checkEnd(file: string): Promise<void> {
  let last: CaptureEntry | undefined;
  try {
    for await (const entry of readCapture(file)) last = entry;
  } catch (error) {
    const cause =
      error instanceof CaptureError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
    if (cause?.code === 'ENOENT') return;
    throw error;
  }
  if (last?.kind !== 'cut') return;
  throw new CaptureError('CAPTURE_CUT', `${file} has lost its end, so nothing can follow: take another name`);
}
