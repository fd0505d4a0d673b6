import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDirectory } from '../../durable-log/directory-lock.ts';

/** How the folders of drills begin, beside other people's temporary files. */
export const FOLDER_PREFIX = 'sluice-drill-';
/** In the folder of each drill: what is its own, for whoever comes after a kill -9. */
export const MARKER_FILE = 'drill.json';

/** What a drill has written down of itself. */
export interface DrillMarker {
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
