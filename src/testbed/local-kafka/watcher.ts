/**
 * The watcher: a process of its own between whoever wants a Kafka (the owner) and that Kafka, which ends
 * Kafka when its owner is gone, by whatever death.
 *
 * - It holds the reading end of a pipe from its owner. A pipe whose writer died is closed by the kernel, kill
 *   -9 included: end of file on stdin is the one and only order to stop.
 * - It leads a session of its own, with Kafka in it, so that a terminal's Ctrl-C reaches neither: Kafka must
 *   outlive the owner's last flush. For the same reason it ignores signals; the owner's end is its end.
 * - It lives as long as its Kafka, no longer and no shorter, and notes in the data folder who belongs to it.
 *   Only if it is itself killed with -9 does Kafka go on alone; whoever comes next adopts it.
 *
 * Started as `node watcher.ts <task as JSON>`; tells on stdout, one JSON object a line, what happens.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { identify, isRunning, signal, type ProcessIdentity } from './process-identity.ts';

export interface WatcherTask {
  readonly owner: ProcessIdentity;
  /** The command that starts Kafka, or the Kafka that runs already. */
  readonly kafka:
    | { readonly command: string; readonly args: readonly string[]; readonly consoleLog: string }
    | { readonly adopt: ProcessIdentity };
  /** How long Kafka may take to close its logs after SIGTERM before it is killed. */
  readonly graceMs: number;
  /** Where to note the processes, and what else to note there. */
  readonly record: { readonly file: string; readonly port: number };
}

/** The note in the data folder. */
export interface ProcessRecord {
  readonly owner: ProcessIdentity;
  readonly watcher: ProcessIdentity;
  readonly kafka: ProcessIdentity;
  readonly port: number;
}

export type WatcherEvent =
  | { readonly event: 'watching'; readonly kafka: ProcessIdentity }
  | { readonly event: 'failed'; readonly reason: string }
  | { readonly event: 'gone'; readonly status: number | null; readonly signal: string | null };

/** An adopted Kafka is not our child: the kernel tells us nothing, we have to look. */
const LOOK_EVERY_MS = 250;

if (import.meta.main) {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {});
  // The owner may be gone before it has read everything.
  process.stdout.on('error', () => {});
  watch(JSON.parse(process.argv[2] ?? '') as WatcherTask);
}

function watch(task: WatcherTask): void {
  const kafka = 'adopt' in task.kafka ? adopt(task.kafka.adopt, gone) : start(task.kafka, gone, failed);
  if (kafka === undefined) return;
  noteProcesses(task, kafka);
  tell({ event: 'watching', kafka });

  process.stdin.resume();
  process.stdin.once('close', () => {
    signal(kafka, 'SIGTERM');
    // A Kafka that was stopped with SIGSTOP hears nothing else.
    setTimeout(() => signal(kafka, 'SIGKILL'), task.graceMs);
  });
  process.stdin.on('error', () => {});

  function gone(status: number | null, by: string | null): void {
    forgetProcesses(task);
    tell({ event: 'gone', status, signal: by });
    process.exit(0);
  }
}

function start(
  { command, args, consoleLog }: { command: string; args: readonly string[]; consoleLog: string },
  gone: (status: number | null, by: string | null) => void,
  cannot: (reason: string) => void,
): ProcessIdentity | undefined {
  const output = openSync(consoleLog, 'w');
  const child = spawn(command, args, { stdio: ['ignore', output, output] });
  closeSync(output);
  child.once('error', (error) => cannot(error.message));
  child.once('exit', gone);
  // Not yet reaped, so the pid can't be anybody else's.
  return child.pid === undefined ? undefined : identify(child.pid);
}

function adopt(
  kafka: ProcessIdentity,
  gone: (status: number | null, by: string | null) => void,
): ProcessIdentity {
  const timer = setInterval(() => {
    if (isRunning(kafka)) return;
    clearInterval(timer);
    gone(null, null);
  }, LOOK_EVERY_MS);
  return kafka;
}

function failed(reason: string): void {
  tell({ event: 'failed', reason });
  process.exit(1);
}

function noteProcesses(task: WatcherTask, kafka: ProcessIdentity): void {
  const watcher = identify(process.pid) ?? { pid: process.pid, startedAt: '' };
  const record: ProcessRecord = { owner: task.owner, watcher, kafka, port: task.record.port };
  const draft = `${task.record.file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record));
  renameSync(draft, task.record.file);
}

/** Removes the note if it is still ours: whoever came after us may have written its own. */
function forgetProcesses(task: WatcherTask): void {
  try {
    const record = JSON.parse(readFileSync(task.record.file, 'utf8')) as ProcessRecord;
    if (record.watcher.pid === process.pid) rmSync(task.record.file);
  } catch {
    // No note, or none that can be read: nothing to forget.
  }
}

function tell(event: WatcherEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
