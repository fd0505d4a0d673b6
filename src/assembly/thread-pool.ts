import { readdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';

/*
 * The users that write to a disk beside the journal, which has a thread of its own. Each has one operation on its
 * way at most. So a hanging disk occupies one thread of the pool for each user, and never a second one.
 */
const DISK_USERS = ['the session store', 'the audit log', 'the log, where it goes to a file'] as const;

/** The threads that Node counts on for everything else: compression, names of hosts, files that are read. */
const OTHER_THREADS = 4;

export const POOL_THREADS = OTHER_THREADS + DISK_USERS.length;

/**
 * Enlarges the pool that file operations, compression and name lookups share, so that hanging disks leave the
 * others their threads. It works only before the pool's first operation. A larger number that the user has set is
 * kept.
 */
export function sizeThreadPool(environment: NodeJS.ProcessEnv): void {
  const asked = Number(environment.UV_THREADPOOL_SIZE);
  if (!(asked >= POOL_THREADS)) environment.UV_THREADPOOL_SIZE = String(POOL_THREADS);
}

/** How many threads the pool really has; undefined where the system does not say. */
export async function poolThreads(): Promise<number | undefined> {
  try {
    // This look-up is itself the pool's work, so the pool is there.
    const threads = await readdir('/proc/self/task');
    const names = threads.map((thread) => readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim());
    return names.filter((name) => name === 'libuv-worker').length;
  } catch {
    return undefined;
  }
}

/** Why a hanging disk could stop more than it should; undefined: it can't. */
export async function smallPool(): Promise<string | undefined> {
  const threads = await poolThreads();
  if (threads === undefined || threads === 0 || threads >= POOL_THREADS) return undefined;
  return (
    `Node's thread pool has ${threads} threads instead of ${POOL_THREADS}: disks that hang could keep all of them, ` +
    `and compression would wait; start with UV_THREADPOOL_SIZE=${POOL_THREADS}`
  );
}
