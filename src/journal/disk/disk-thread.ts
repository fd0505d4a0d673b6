import { type MessagePort, Worker } from 'node:worker_threads';
import { errorMessage } from '../../core/errors.ts';
import { JournalError } from '../errors.ts';
import { type DiskFault, DiskFaultError, type DiskOperations, type DiskPort, faultOf } from './disk-port.ts';

type Operation = keyof DiskOperations;

interface Request {
  readonly operation: Operation;
  readonly parameters: readonly unknown[];
}

/** Errors as they pass between threads, where classes are lost. */
type Failure =
  | { readonly kind: 'journal'; readonly code: string; readonly message: string }
  | { readonly kind: 'disk'; readonly fault: DiskFault };

type Reply = { readonly result: unknown } | { readonly failure: Failure };

/** The disk's side: does one operation after the other, and answers in the same order. */
export function serveDisk(port: MessagePort, disk: DiskOperations): void {
  port.on('message', ({ operation, parameters }: Request) => {
    let reply: Reply;
    try {
      const operations = disk as unknown as Record<Operation, (...parameters: readonly unknown[]) => unknown>;
      reply = { result: operations[operation](...parameters) };
    } catch (error) {
      reply = { failure: failureOf(error) };
    }
    port.postMessage(reply, transferable(operation, reply));
  });
}

function failureOf(error: unknown): Failure {
  return error instanceof JournalError
    ? { kind: 'journal', code: error.code, message: error.message }
    : { kind: 'disk', fault: faultOf(error, '') };
}

/** What was read changes hands instead of being copied. */
function transferable(operation: Operation, reply: Reply): ArrayBuffer[] {
  if (operation !== 'read' || !('result' in reply)) return [];
  const { bytes, ends, recordNumbers } = reply.result as ReturnType<DiskOperations['read']>;
  return [bytes.buffer, ends.buffer, recordNumbers.buffer] as ArrayBuffer[];
}

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** The event loop's side: a thread of our own that does the blocking calls. */
export class DiskThread implements DiskPort {
  onLost: (error: Error) => void = () => {};
  readonly #worker: Worker;
  /** Answers come in the order of the requests. */
  readonly #waiting: Waiting[] = [];
  #ended: JournalError | undefined;

  /** `entry` is the thread's program: it calls {@link serveDisk}. */
  constructor(entry: URL = new URL(`./disk-worker${import.meta.url.slice(-3)}`, import.meta.url)) {
    this.#worker = new Worker(entry, {
      name: 'journal',
      // Node's own SQLite, which lends us its lock, announces itself on standard error in some versions.
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    this.#worker.on('message', (reply: Reply) => {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      if ('result' in reply) waiting.resolve(reply.result as never);
      else waiting.reject(errorOf(reply.failure));
    });
    this.#worker.on('error', (error) => this.#end(threadFault(errorMessage(error), { cause: error })));
    this.#worker.on('exit', (code) => this.#end(threadFault(`it exited with code ${code}`)));
  }

  #end(error: JournalError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.onLost(error);
  }

  #call<K extends Operation>(
    operation: K,
    parameters: Parameters<DiskOperations[K]>,
  ): Promise<ReturnType<DiskOperations[K]>> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage({ operation, parameters } satisfies Request);
    });
  }

  readonly open: DiskPort['open'] = (...parameters) => this.#call('open', parameters);
  readonly commit: DiskPort['commit'] = (...parameters) => this.#call('commit', parameters);
  readonly read: DiskPort['read'] = (...parameters) => this.#call('read', parameters);
  readonly checkpoint: DiskPort['checkpoint'] = (...parameters) => this.#call('checkpoint', parameters);
  readonly clear: DiskPort['clear'] = (...parameters) => this.#call('clear', parameters);
  readonly compact: DiskPort['compact'] = (...parameters) => this.#call('compact', parameters);
  readonly survey: DiskPort['survey'] = (...parameters) => this.#call('survey', parameters);

  readonly close: DiskPort['close'] = async () => {
    try {
      await this.#call('close', []);
    } finally {
      this.#ended ??= threadFault('it was closed');
      await this.#worker.terminate();
    }
  };

  /** A thread inside a system call can't be ended; it must not keep the process alive. */
  abandon(): void {
    this.#ended ??= threadFault('it was given up');
    this.#worker.unref();
    void this.#worker.terminate();
  }
}

function errorOf(failure: Failure): Error {
  return failure.kind === 'journal'
    ? new JournalError(failure.code, failure.message)
    : new DiskFaultError(failure.fault);
}

/** The thread that owns the files died: nothing more is acknowledged, and a restart recovers. */
function threadFault(reason: string, options?: ErrorOptions): JournalError {
  const advice = 'restart the gateway, what was acknowledged is on the disk';
  return new JournalError('JOURNAL_THREAD', `the journal's disk thread ended: ${reason}; ${advice}`, options);
}
