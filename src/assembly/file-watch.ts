import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cancel, Clock } from '../core/clock.ts';

/**
 * A stamp that changes with a file's content, as far as that can be seen without reading the file. A folder's
 * stamp changes with any of the YAML files in it. Links are followed, because a mounted configuration is exchanged
 * by moving a link. Never throws: a path that can't be looked at has a stamp too.
 */
export function stampOf(path: string): string {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return 'none';
    if (!stat.isDirectory()) return `${stat.mtimeMs} ${stat.size} ${stat.ino}`;
    return readdirSync(path)
      .filter((name) => /\.ya?ml$/i.test(name))
      .sort()
      .map((name) => `${name} ${stampOf(join(path, name))}`)
      .join('\n');
  } catch (error) {
    return String(error);
  }
}

/** How often the files are looked at. Looking notices a rename, or a mount that swaps links, as well as a write. */
const LOOK_MS = 1_000;

export interface FileWatchOptions {
  /** Files and folders; asked at each look. Those that don't exist yet are looked for too. */
  readonly paths: () => readonly string[];
  /**
   * Called once for a change, when a second look finds nothing new: by then a program that writes several files
   * has ended.
   */
  readonly onChange: () => void;
  readonly clock: Clock;
}

type Stamps = ReadonlyMap<string, string>;

/** Notices when files change. */
export class FileWatch {
  readonly #options: FileWatchOptions;
  #cancel: Cancel = () => {};
  /** As they were when they were read last. */
  #read: Stamps = new Map();
  #seen: Stamps = new Map();

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#schedule();
  }

  stop(): void {
    this.#cancel();
  }

  /**
   * The files are about to be read. Every change from now on counts as a change. New paths come with {@link
   * learn}.
   */
  aboutToRead(): void {
    this.#read = this.#look();
  }

  /** Other paths than before may be asked for now. */
  learn(): void {
    this.#read = new Map([...this.#look(), ...this.#read]);
    this.#seen = this.#read;
  }

  #look(): Stamps {
    return new Map(this.#options.paths().map((path) => [path, stampOf(path)]));
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.schedule(() => {
      this.#schedule();
      const before = this.#seen;
      this.#seen = this.#look();
      if (!isAlike(this.#seen, before) || isAlike(this.#seen, this.#read)) return;
      this.#read = this.#seen;
      this.#options.onChange();
    }, LOOK_MS);
  }
}

/** Paths that only one of the two has don't count. */
function isAlike(a: Stamps, b: Stamps): boolean {
  return [...a].every(([path, stamp]) => (b.get(path) ?? stamp) === stamp);
}
