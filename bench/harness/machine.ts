import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';

/** What the figures were measured on, and how busy it was with other things. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly revision: string;
  readonly startedAt: string;
  /** Load average of the last minute, before the first run. */
  readonly loadBefore: number;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    revision: revision(),
    startedAt: new Date().toISOString(),
    loadBefore: loadavg()[0] ?? 0,
  };
}

export function describeMachine({ cpu, cores, memoryGiB, node, revision: commit, ...when }: Machine): string {
  return (
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}, revision ${commit}, ` +
    `begun ${when.startedAt} with a load average of ${when.loadBefore.toFixed(1)}`
  );
}

/** A packed package has no history. */
function revision(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
