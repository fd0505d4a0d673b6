import type { StoreRecord } from './store-record.ts';

/** Where the changes of sessions and retained messages go. */
export interface SessionLog {
  /** Whether they outlive the process. */
  readonly durable: boolean;
  /** Takes note of a change that has been made in memory. */
  append(record: StoreRecord): void;
  /** Calls back when everything appended so far is on stable storage; never during the call. */
  whenSynced(callback: () => void): void;
}

/** Sessions that end with the process. */
export const memoryLog: SessionLog = {
  durable: false,
  append() {
    // Memory is all there is.
  },
  whenSynced(callback) {
    queueMicrotask(callback);
  },
};
