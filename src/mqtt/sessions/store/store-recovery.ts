import { errorMessage } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import { fileName, generationOf } from './store-files.ts';
import { SessionStoreError } from './session-store-error.ts';
import { FILE_HEADER_BYTES, readFileHeader, scanFrames, VERSION } from './store-frames.ts';
import type { StoreDirectory } from './store-fs.ts';
import { decodeRecord, type StoreRecord } from './store-record.ts';

/** What an earlier life of the gateway has left. */
export interface Recovered {
  /** The number of the latest file. */
  readonly generation: number;
  /** Something was damaged: single changes may be missing among those that were applied. */
  readonly damaged: boolean;
}

/**
 * Reads the latest file whole and hands its records to `apply`, in order. A file with damage is set aside under the
 * name `*.damaged`, for whoever wants to look; what is sound in it counts. An unfinished write at the end, as a
 * kill -9 leaves it, is no damage: nobody was told that it is kept.
 * @throws SessionStoreError SESSIONS_VERSION; the file is left as it is
 */
export async function recover(
  directory: StoreDirectory,
  apply: (record: StoreRecord) => void,
  logger: Logger,
): Promise<Recovered> {
  const names = await directory.list();
  const generations = names.flatMap((name) => generationOf(name) ?? []).toSorted((a, b) => b - a);
  for (const name of names) if (name.endsWith('.log.tmp')) await directory.remove(name);
  let damaged = false;
  for (const generation of generations) {
    const name = fileName(generation);
    const bytes = await directory.read(name);
    const version = readFileHeader(bytes)?.version ?? VERSION;
    if (version > VERSION) throw tooNew(`${directory.path}/${name}`, version);
    const outcome = replay(bytes, apply);
    if (outcome.damagedBytes > 0) {
      damaged = true;
      await directory.rename(name, `${name}.damaged`);
      logger.error(
        { file: `${name}.damaged`, damagedBytes: outcome.damagedBytes, records: outcome.records },
        'the store of sessions is damaged: what is sound in it counts, the file is set aside',
      );
    } else if (outcome.unfinishedBytes > 0) {
      logger.warn(
        { file: name, bytes: outcome.unfinishedBytes },
        'the last write to the store of sessions was not finished when the gateway ended',
      );
    }
    // Older ones were complete in this one, or this one is of no use at all.
    if (outcome.readable) break;
  }
  return { generation: generations[0] ?? 0, damaged };
}

function tooNew(file: string, version: number): SessionStoreError {
  return new SessionStoreError(
    'SESSIONS_VERSION',
    `sessions are kept in ${file} in format ${version}, and this version of sluice reads up to ${VERSION}: run the ` +
      'newer one, or set mqtt.sessions.directory to another folder and begin without these sessions',
  );
}

interface Replay {
  readonly readable: boolean;
  readonly records: number;
  readonly damagedBytes: number;
  readonly unfinishedBytes: number;
}

function replay(bytes: Buffer, apply: (record: StoreRecord) => void): Replay {
  const header = readFileHeader(bytes);
  if (header === undefined) {
    return { readable: false, records: 0, damagedBytes: Math.max(bytes.length, 1), unfinishedBytes: 0 };
  }
  let records = 0;
  let damagedBytes = 0;
  const unfinishedBytes = scanFrames(bytes, header.seed, {
    onBody: (body) => {
      try {
        apply(decodeRecord(body));
        records++;
      } catch (error) {
        if (!(error instanceof RangeError)) throw new Error(errorMessage(error), { cause: error });
        damagedBytes += body.length;
      }
    },
    onDamage: (count) => {
      damagedBytes += count;
    },
  });
  return { readable: bytes.length >= FILE_HEADER_BYTES, records, damagedBytes, unfinishedBytes };
}
