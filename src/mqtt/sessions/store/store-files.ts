import type { StoreDirectory } from './store-fs.ts';

/** The file of a generation; each begins with a snapshot of all that the one before had. */
export const fileName = (generation: number): string => `sessions-${String(generation).padStart(8, '0')}.log`;

/** While its snapshot is not complete. */
export const temporaryName = (generation: number): string => `${fileName(generation)}.tmp`;

/** The generation of a file; undefined for other files. */
export function generationOf(name: string): number | undefined {
  const digits = /^sessions-(\d{8,})\.log$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Removes what `generation` replaces. */
export async function removeOlder(directory: StoreDirectory, generation: number): Promise<void> {
  for (const name of await directory.list()) {
    const found = generationOf(name);
    if (found !== undefined && found < generation) await directory.remove(name);
  }
}
