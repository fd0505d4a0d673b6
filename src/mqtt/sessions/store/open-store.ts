import type { Clock } from '../../../core/clock.ts';
import { errorMessage, SluiceError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { RecalledPublications } from '../../../core/publication.ts';
import { readHeader } from '../../../durable-log/file-header.ts';
import { readFirstSessions } from '../../../durable-log/first-format.ts';
import type { LogDirectory } from '../../../durable-log/log-directory.ts';
import { type LogPart, readGroups } from '../../../durable-log/log-file.ts';
import {
  fileName,
  generationOf,
  memoryLog,
  removeOlder,
  type SessionLog,
  STORE_KIND,
  StoreLog,
  type StoreLogStats,
} from './store-log.ts';
import { decodeRecord, type StoreRecord } from './store-record.ts';

/** The store of sessions can't be opened; the message says why, and what to do. */
export class SessionStoreError extends SluiceError {}

export interface OpenStoreOptions {
  /** undefined: sessions end with the process. */
  readonly directory: LogDirectory | undefined;
  /** What is kept; filled from the disk first. */
  readonly state: {
    apply(record: StoreRecord): void;
    /** Single changes may be missing: what could cost a message is to be forgotten. */
    doubt(): void;
    /** Subscriptions beyond the bound of all sessions. */
    readonly leftOut: number;
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
    const { generation, damaged } = await recover(directory, state, logger);
    if (damaged) state.doubt();
    if (state.leftOut > 0) {
      const message = 'stored topic filters are beyond the bound of all sessions, and are left out';
      logger.warn({ filters: state.leftOut, bound: 'mqtt.sessions.filter.levels.total' }, message);
    }
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
  const advice = 'stop that gateway, or give this one a folder of its own (mqtt.sessions.directory)';
  const message = `sessions can't be kept: ${error.message}; ${advice}`;
  return new SessionStoreError('SESSIONS_LOCKED', message, { cause: error });
}

function unusable(place: string, error: unknown): SessionStoreError {
  const fault = `sessions can't be kept in ${place}: ${errorMessage(error)}`;
  const memory = 'mqtt.sessions.store: memory to keep them only as long as the gateway runs';
  const advice = `correct its permissions or set mqtt.sessions.directory, or ${memory}`;
  return new SessionStoreError('SESSIONS_UNAVAILABLE', `${fault}; ${advice}`, { cause: error });
}

/**
 * Reads the latest file whole and applies its records to `state`, in order; says the file's number, and whether
 * something was damaged, so that single changes may be missing. A file with damage is set aside under the
 * name `*.damaged`, for whoever wants to look; what is sound in it counts. An unfinished write at the end, as a
 * kill -9 leaves it, is no damage: nobody was told that it is kept.
 * @throws SessionStoreError SESSIONS_VERSION; the file is left as it is
 */
async function recover(directory: LogDirectory, state: OpenStoreOptions['state'], logger: Logger) {
  const names = (await directory.list()).map(({ name }) => name);
  const generations = names.flatMap((name) => generationOf(name) ?? []).toSorted((a, b) => b - a);
  for (const name of names) if (name.endsWith('.log.tmp')) await directory.remove(name);
  let damaged = false;
  for (const generation of generations) {
    const name = fileName(generation);
    const bytes = await directory.read(name);
    const parts = partsOf(bytes, `${directory.path}/${name}`);
    const lost = { records: [], committed: false, damagedBytes: Math.max(bytes.length, 1) };
    const { records, damagedBytes, unfinishedBytes } = replay(parts ?? [lost], state);
    if (damagedBytes > 0) {
      damaged = true;
      const file = `${name}.damaged`;
      await directory.rename(name, file);
      const what = 'the store of sessions is damaged: what is sound in it counts, the file is set aside';
      logger.error({ file, damagedBytes, records }, what);
    } else if (unfinishedBytes > 0) {
      const what = 'the last write to the store of sessions was not finished when the gateway ended';
      logger.warn({ file: name, bytes: unfinishedBytes }, what);
    }
    // Older ones were complete in this one, or this one is of no use at all.
    if (parts !== undefined) break;
  }
  return { generation: generations[0] ?? 0, damaged };
}

/** Applies the records of a file. */
function replay(parts: Iterable<LogPart>, state: OpenStoreOptions['state']) {
  let records = 0;
  let damagedBytes = 0;
  let unfinishedBytes = 0;
  for (const part of parts) {
    damagedBytes += part.damagedBytes ?? 0;
    unfinishedBytes += part.tornBytes ?? 0;
    for (const body of part.records) {
      try {
        state.apply(decodeRecord(body));
        records++;
      } catch (error) {
        if (!(error instanceof RangeError)) throw new Error(errorMessage(error), { cause: error });
        damagedBytes += body.length;
      }
    }
  }
  return { records, damagedBytes, unfinishedBytes };
}

/** undefined: nothing of the file can be read. @throws SessionStoreError for one of a newer version */
function partsOf(bytes: Buffer, file: string): Iterable<LogPart> | undefined {
  const [header] = readHeader(bytes, STORE_KIND.magic);
  if (header === undefined) return readFirstSessions(bytes);
  if (header.version <= STORE_KIND.version) return readGroups(bytes, header);
  const known = `this version of sluice reads up to ${STORE_KIND.version}`;
  const fault = `sessions are kept in ${file} in format ${header.version}, and ${known}`;
  const advice =
    'run the newer one, or set mqtt.sessions.directory to another folder and begin without these';
  throw new SessionStoreError('SESSIONS_VERSION', `${fault}: ${advice} sessions`);
}
