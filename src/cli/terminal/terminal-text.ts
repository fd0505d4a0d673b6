const MOST_BYTES_SHOWN = 24;

/** The first bytes, for a line. */
export function hex(bytes: Uint8Array): string {
  const shown = Buffer.from(bytes.subarray(0, MOST_BYTES_SHOWN)).toString('hex');
  return bytes.length > MOST_BYTES_SHOWN ? `${shown}…` : shown;
}

/** A number with thousands set apart. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** Text from a device must not steer the terminal: escape sequences, line breaks, tabs. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return text.replaceAll(/[\u0000-\u001F\u007F-\u009F]+/g, '·');
}

/** The parts of a terminal's stream that a live line needs. */
export interface LineStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const ERASE_LINE = '\r\u001B[2K';

/** One line of a terminal that is written over and over. Off a terminal it shows nothing: logs do not jump. */
export class LiveLine {
  readonly #stream: LineStream;
  #shown = false;

  constructor(stream: LineStream) {
    this.#stream = stream;
  }

  get isLive(): boolean {
    return this.#stream.isTTY === true;
  }

  show(text: string): void {
    if (!this.isLive) return;
    // A line that wraps could not be erased any more.
    this.#stream.write(ERASE_LINE + text.slice(0, (this.#stream.columns ?? 80) - 1));
    this.#shown = true;
  }

  /** Removes the line, so that something else can be written in its place. */
  clear(): void {
    if (this.#shown) this.#stream.write(ERASE_LINE);
    this.#shown = false;
  }
}

/** Rows with their columns aligned; the last column is as long as it is. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0),
      );
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}
