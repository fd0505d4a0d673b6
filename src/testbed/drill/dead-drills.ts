import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorMessage } from '../../core/errors.ts';
import { DirectoryLockedError, lockDirectory } from '../../durable-log/directory-lock.ts';
import { FOLDER_PREFIX, isScratchTopicOf, MARKER_FILE, type DrillMarker } from './drill-folder.ts';

/** What is asked of the cluster that a drill is about to use. */
export interface ScratchCluster {
  readonly clusterId: string;
  listTopics(): Promise<string[]>;
  deleteTopics(topics: readonly string[]): Promise<void>;
}

/** A process that ends for want of its drill may be writing its last files. */
const REMOVAL = { recursive: true, force: true, maxRetries: 5, retryDelay: 100 };

/**
 * Removes what drills have left that were killed: their topics and their folders beside `ownFolder`. Never what a drill
 * that runs has, nor another user's, nor what has no marker, nor topics of another cluster.
 * @returns a line for each: what was removed, or why not. Never rejects.
 */
export async function removeDeadDrills(cluster: ScratchCluster, ownFolder: string): Promise<string[]> {
  const parent = dirname(ownFolder);
  const said: string[] = [];
  for (const name of await readdir(parent).catch(() => [])) {
    const folder = join(parent, name);
    if (!name.startsWith(FOLDER_PREFIX) || folder === ownFolder) continue;
    const marker = await markerIn(folder);
    if (marker === undefined) continue;
    const drill = `a drill that was killed (process ${marker.pid}, ${marker.startedAt})`;
    try {
      const line = await removeIfDead(cluster, folder, marker);
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
  cluster: ScratchCluster,
  folder: string,
  marker: DrillMarker,
): Promise<string | undefined> {
  const unlock = lockOfDead(folder);
  if (unlock === undefined) return undefined;
  try {
    const { id, cluster: itsCluster } = marker;
    if (itsCluster !== undefined && itsCluster.id !== cluster.clusterId) {
      const servers = itsCluster.bootstrapServers.join(', ');
      return `its topics *-${id} are on another Kafka (${servers}); a drill there removes them and ${folder}`;
    }
    const left = itsCluster === undefined ? [] : await cluster.listTopics();
    const topics = left.filter((topic) => isScratchTopicOf(id, topic)).sort();
    if (topics.length > 0) await cluster.deleteTopics(topics);
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
