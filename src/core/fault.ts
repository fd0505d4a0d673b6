/** One thing that is wrong in a file that a person wrote. */
export interface ConfigFault {
  /** Path as the person knows it. */
  readonly file: string;
  /** 1-based; 0 when the fault is not at a line (an environment variable, a missing file). */
  readonly line: number;
  /** The key's path with dots, e.g. `mqtt.listeners[0].port`. */
  readonly key: string;
  /** What is there, as short text. Never a secret's value. */
  readonly found: string;
  /** What should be there, e.g. `an integer from 1 to 65535`. */
  readonly expected: string;
}

/** Something that is legal and most probably a mistake; `expected` is what would be better. */
export interface ConfigWarning extends ConfigFault {
  /** Stable, e.g. NO_IDEMPOTENCE. */
  readonly code: string;
}

/** A fault as a later stage finds it. It names the key only, because only the loader knows files and lines. */
export interface KeyFault {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
}

export function keyFault(path: KeyFault['path'], found: string, expected: string): KeyFault {
  return { path, found, expected };
}

/**
 * The candidate that was probably meant: the nearest by edit distance, if it is near enough to be a slip of the
 * keyboard (a third of its length, at least 2 edits). Dots, dashes, underscores and case don't count.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(plain(word), plain(candidate));
    const limit = Math.max(2, Math.floor(candidate.length / 3));
    // A word of two letters is two edits away from every other word of two letters.
    if (distance <= limit && distance < bestDistance && distance < candidate.length - 1) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[._-]/g, '');
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const [above, before, diagonal] = [last[j] as number, row[j - 1] as number, last[j - 1] as number];
      let distance = Math.min(above + 1, before + 1, diagonal + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, (beforeLast[j - 2] as number) + 1);
      }
      row.push(distance);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] as number;
}
