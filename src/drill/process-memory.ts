import { readFileSync } from 'node:fs';

/**
 * Resident memory of a process now, and the most there has been since its start; bytes. Linux only.
 * @throws Error where /proc doesn't have the process
 */
export function memoryBytes(pid: number): { readonly resident: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytesOf = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { resident: bytesOf('VmRSS'), peak: bytesOf('VmHWM') };
}
