import type { DiskFault } from './disk/disk-port.ts';

/**
 * - `ok`: records are durable within the commit interval.
 * - `degraded`: they are, but a directory does not work and another stands in, or checkpoints can't be written.
 * - `full`: `maxBytes` are used; the policy decides what happens to new records.
 * - `stalled`: the disk has not answered for longer than it should.
 * - `faulty`: no directory takes records at present; it is tried again and again.
 * - `lost`: the disk thread died; only a restart helps.
 */
export type JournalState = 'ok' | 'degraded' | 'full' | 'stalled' | 'faulty' | 'lost' | 'closed';

export interface JournalHealth {
  readonly state: JournalState;
  /** For a person: what is wrong, and where. */
  readonly reason?: string;
  /** The operating system's code, where a disk failed. */
  readonly code?: string;
}

export function describeFault({ code, directory, message }: DiskFault): string {
  const advice = ADVICE[code];
  return `${directory}: ${message}${advice === undefined ? '' : `; ${advice}`}`;
}

const ADVICE: Partial<Record<string, string>> = {
  ENOSPC: 'free some space on this disk',
  EDQUOT: 'raise the quota, or free some space',
  EROFS: 'the file system is read-only: look at the kernel log, and mount it for writing again',
  EIO: 'the disk reports errors: look at the kernel log',
  EACCES: 'give the gateway the right to write here',
};
