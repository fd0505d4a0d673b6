import type { Clock } from '../../../core/clock.ts';
import { errorMessage, SluiceError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { RecalledPublications } from '../../../core/publication.ts';
import { SessionStoreError } from './session-store-error.ts';
import { memoryLog, type SessionLog } from './session-log.ts';
import { removeOlder } from './store-files.ts';
import type { StoreDirectory } from './store-fs.ts';
import { StoreLog, type StoreLogStats } from './store-log.ts';
import { recover } from './store-recovery.ts';
import type { StoreRecord } from './store-record.ts';

export interface OpenStoreOptions {
  /** undefined: sessions end with the process. */
  readonly directory: StoreDirectory | undefined;
  /** What is kept; filled from the disk first. */
  readonly state: {
    apply(record: StoreRecord): void;
    /** Single changes may be missing: what could cost a message is to be forgotten. */
    doubt(): void;
    recall(recalled: RecalledPublications, trusted: boolean): void;
    snapshot(): Iterable<readonly StoreRecord[]>;
  };
  /** What a journal knows of publications. */
  readonly recalled?: RecalledPublications | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface OpenStore {
  readonly log: SessionLog;
  /** undefined: in memory. */
  readonly stats: Readonly<StoreLogStats> | undefined;
  /** Has everything on disk; gives up when `deadline` resolves. */
  close(deadline: Promise<void>): Promise<void>;
}

const NOTHING_RECALLED: RecalledPublications = { publications: [], nextPublicationNumber: 1 };

/**
 * Reads what an earlier life of the gateway has left, and opens the log that goes on from there.
 * @throws SessionStoreError if the folder can't be used, or a newer version has written to it
 */
export async function openStore(options: OpenStoreOptions): Promise<OpenStore> {
  const { directory, state, recalled = NOTHING_RECALLED, clock, logger } = options;
  if (directory === undefined) return { log: memoryLog, stats: undefined, close: () => Promise.resolve() };
  try {
    await directory.lock();
  } catch (error) {
    throw lockFault(directory.path, error);
  }
  try {
    const { generation, damaged } = await recover(
      directory,
      (record) => {
        state.apply(record);
      },
      logger,
    );
    if (damaged) state.doubt();
    state.recall(recalled, !damaged);
    const log = new StoreLog({ directory, generation, snapshot: () => state.snapshot(), clock, logger });
    await log.open();
    await removeOlder(directory, generation);
    return { log, stats: log.stats, close: (deadline) => log.close(deadline) };
  } catch (error) {
    directory.unlock();
    throw error instanceof SessionStoreError ? error : unusable(directory.path, error);
  }
}

function lockFault(place: string, error: unknown): SessionStoreError {
  if (!(error instanceof SluiceError)) return unusable(place, error);
  return new SessionStoreError(
    'SESSIONS_LOCKED',
    `sessions can't be kept: ${error.message}; stop that gateway, or give this one a folder of its own ` +
      '(mqtt.sessions.directory)',
    { cause: error },
  );
}

function unusable(place: string, error: unknown): SessionStoreError {
  return new SessionStoreError(
    'SESSIONS_UNAVAILABLE',
    `sessions can't be kept in ${place}: ${errorMessage(error)}; correct its permissions or set ` +
      'mqtt.sessions.directory, or mqtt.sessions.store: memory to keep them only as long as the gateway runs',
    { cause: error },
  );
}
