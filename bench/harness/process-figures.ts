import { readFileSync } from 'node:fs';

/** Linux counts processor time in ticks of this length (USER_HZ), whatever the kernel's own rate is. */
const TICK_MICROS = 10_000;

/** Processor time of a process since its start, user and system, of all of its threads; microseconds. */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // proc_pid_stat(5): the name in parentheses may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}
