import { randomBytes } from 'node:crypto';
import { lstat, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { errorMessage } from '../../core/errors.ts';
import type { AdminPort } from '../../kafka/clients/ports.ts';
import { DirectoryLockedError, lockDirectory } from '../../durable-log/directory-lock.ts';

/** How the folders of drills begin, beside other people's temporary files. */
const FOLDER_PREFIX = 'sluice-drill-';
/** In the folder of each drill: what is its own, for whoever comes after a kill -9. */
const MARKER_FILE = 'drill.json';

/** What a drill has written down of itself. */
interface DrillMarker {
  /** Stands at the end of the names of all its topics. */
  readonly id: string;
  readonly pid: number;
  readonly startedAt: string;
  /** Where its topics are; without it there are none that outlive the folder. */
  readonly cluster?: { readonly id: string; readonly bootstrapServers: readonly string[] };
}

/**
 * The folder of one drill, locked as long as its process lives: by the kernel, so that a drill that was killed is told
 * from one that runs without a look at process ids, which are used again and say nothing in another container.
 */
export class DrillFolder {
  readonly path: string;
  readonly #marker: DrillMarker;
  readonly #unlock: () => void;

  /** @throws what the system says when there is no room for temporary files */
  static async make(parent = tmpdir()): Promise<DrillFolder> {
    const path = await mkdtemp(join(parent, FOLDER_PREFIX));
    // Locked before it is marked: without a marker nobody takes it for a drill's.
    const unlock = lockDirectory(path).release;
    const marker = {
      id: randomBytes(4).toString('hex'),
      pid: process.pid,
      startedAt: new Date().toISOString(),
    };
    const folder = new DrillFolder(path, marker, unlock);
    await folder.#write(marker);
    return folder;
  }

  private constructor(path: string, marker: DrillMarker, unlock: () => void) {
    this.path = path;
    this.#marker = marker;
    this.#unlock = unlock;
  }

  /** To be called before the first topic is made; not for a Kafka that lives in this folder and ends with the drill. */
  async noteCluster(cluster: NonNullable<DrillMarker['cluster']>): Promise<void> {
    await this.#write({ ...this.#marker, cluster });
  }

  /** A name that is found at a glance by whoever wonders where it comes from, and nobody else's. */
  scratchTopic(scenario: string): string {
    const now = new Date().toISOString().replaceAll(/[-:]|\..*/g, '');
    return `sluice-drill-${scenario}-${now}-${this.#marker.id}`;
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
    this.#unlock();
  }

  async #write(marker: DrillMarker): Promise<void> {
    await writeFile(join(this.path, MARKER_FILE), `${JSON.stringify(marker)}\n`);
  }
}

/** Whether a topic was made by the drill with this id: the whole shape of the name, and not its beginning alone. */
export function isScratchTopicOf(id: string, topic: string): boolean {
  const stem = topic.endsWith('.dlq') ? topic.slice(0, -'.dlq'.length) : topic;
  return /^sluice-drill-[a-z-]+-\d{8}T\d{6}-/.test(stem) && stem.endsWith(`-${id}`);
}

/** What is asked of the cluster that a drill is about to use. */
type ScratchAdmin = Pick<AdminPort, 'listTopics' | 'deleteTopics'>;

/** A process that ends for want of its drill may be writing its last files. */
const REMOVAL = { recursive: true, force: true, maxRetries: 5, retryDelay: 100 };

/**
 * Removes what drills have left that were killed: their topics and their folders beside `ownFolder`. Never what a drill
 * that runs has, nor another user's, nor what has no marker, nor topics of another cluster.
 * @returns a line for each: what was removed, or why not. Never rejects.
 */
export async function removeDeadDrills(
  clusterId: string,
  admin: ScratchAdmin,
  ownFolder: string,
): Promise<string[]> {
  const parent = dirname(ownFolder);
  const said: string[] = [];
  for (const name of await readdir(parent).catch(() => [])) {
    const folder = join(parent, name);
    if (!name.startsWith(FOLDER_PREFIX) || folder === ownFolder) continue;
    const marker = await markerIn(folder);
    if (marker === undefined) continue;
    const drill = `a drill that was killed (process ${marker.pid}, ${marker.startedAt})`;
    try {
      const line = await removeIfDead(clusterId, admin, folder, marker);
      if (line !== undefined) said.push(`${drill}: ${line}`);
    } catch (error) {
      said.push(`${drill}: what it left in ${folder} could not be removed: ${errorMessage(error)}`);
    }
  }
  return said;
}

/** undefined: not a drill's, or not ours to look at. */
async function markerIn(folder: string): Promise<DrillMarker | undefined> {
  try {
    const stat = await lstat(folder);
    // Anybody may write into /tmp, and name topics there that they would like to see deleted.
    if (!stat.isDirectory() || stat.uid !== process.getuid?.()) return undefined;
    const marker = JSON.parse(await readFile(join(folder, MARKER_FILE), 'utf8')) as Partial<DrillMarker>;
    return typeof marker.id === 'string' && /^[0-9a-f]{8}$/.test(marker.id)
      ? (marker as DrillMarker)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Resolves with undefined where the drill runs. */
async function removeIfDead(
  clusterId: string,
  admin: ScratchAdmin,
  folder: string,
  marker: DrillMarker,
): Promise<string | undefined> {
  const unlock = lockOfDead(folder);
  if (unlock === undefined) return undefined;
  try {
    const { id, cluster: itsCluster } = marker;
    if (itsCluster !== undefined && itsCluster.id !== clusterId) {
      const servers = itsCluster.bootstrapServers.join(', ');
      return `its topics *-${id} are on another Kafka (${servers}); a drill there removes them and ${folder}`;
    }
    const left = itsCluster === undefined ? [] : await admin.listTopics();
    const topics = left.filter((topic) => isScratchTopicOf(id, topic)).sort();
    if (topics.length > 0) await admin.deleteTopics(topics);
    await rm(folder, REMOVAL);
    return `removed ${[...topics.map((topic) => `topic ${topic}`), `folder ${folder}`].join(', ')}`;
  } finally {
    unlock();
  }
}

/** undefined: its owner lives. */
function lockOfDead(folder: string): (() => void) | undefined {
  try {
    return lockDirectory(folder).release;
  } catch (error) {
    if (error instanceof DirectoryLockedError) return undefined;
    throw error;
  }
}
