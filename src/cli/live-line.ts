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
