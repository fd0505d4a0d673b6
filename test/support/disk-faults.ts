import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestGatewayOptions } from './gateway.ts';

type Launch = Pick<TestGatewayOptions, 'launcher' | 'environment'>;

/** Syncs that hang in the kernel, or fail, for a gateway that is started with {@link launch}. */
export class FaultyDisk {
  readonly #folder: string;
  readonly #hang: string;

  constructor(folder: string) {
    this.#folder = join(folder, 'faults');
    this.#hang = join(this.#folder, 'hang');
    mkdirSync(this.#folder);
  }

  get launch(): Launch {
    return {
      environment: {
        FAULTY_DISK: this.#folder,
        // Not as an argument: the journal's thread is to have it too.
        NODE_OPTIONS: `--import=${resolve(import.meta.dirname, 'faulty-disk.ts')}`,
      },
    };
  }

  hang(): void {
    execFileSync('mkfifo', [this.#hang]);
  }

  /** Of files in these folders; without any, all. */
  fail(...folders: readonly string[]): void {
    // In one step: a gateway may look at any moment.
    writeFileSync(join(this.#folder, 'EIO.new'), folders.join('\n'));
    renameSync(join(this.#folder, 'EIO.new'), join(this.#folder, 'EIO'));
  }

  /** Everybody who hangs goes on, and nothing hangs or fails any more. */
  heal(): void {
    rmSync(join(this.#folder, 'EIO'), { force: true });
    if (!existsSync(this.#hang)) return;
    // Both ends, which never waits; first the name goes, so that nobody comes after.
    const both = openSync(this.#hang, 'r+');
    rmSync(this.#hang);
    closeSync(both);
  }
}

/** Why no file system of a test's own can be mounted on this machine; undefined: it can. */
export const noMounts: string | undefined = (() => {
  const tried = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'none', '/tmp'], { encoding: 'utf8' });
  if (tried.status === 0) return undefined;
  return `user namespaces are not to be had here: ${tried.error?.message ?? tried.stderr.trim()}`;
})();

/** Has a gateway see small file systems of its own: their sizes in bytes, by directory. */
function launchWith(disks: Readonly<Record<string, number>>): Launch {
  const mount =
    'while [ "$1" != -- ]; do mount -t tmpfs -o size="$2" none "$1" && shift 2 || exit 1; done; shift && exec "$@"';
  const places = Object.entries(disks).flatMap(([directory, bytes]) => [directory, String(bytes)]);
  return { launcher: ['unshare', '-Urm', 'sh', '-c', mount, 'sh', ...places, '--'] };
}

/** A small file system that only one gateway sees, which is started with {@link launch}. */
export class SmallDisk {
  readonly #directory: string;
  readonly #bytes: number;

  constructor(directory: string, bytes: number) {
    this.#directory = directory;
    this.#bytes = bytes;
    mkdirSync(directory, { recursive: true });
  }

  get launch(): Launch {
    return launchWith({ [this.#directory]: this.#bytes });
  }

  /** For a gateway that sees all of these. */
  static launchAll(disks: readonly SmallDisk[]): Launch {
    return launchWith(Object.fromEntries(disks.map((disk) => [disk.#directory, disk.#bytes])));
  }

  #filler(pid: number): string {
    return `/proc/${pid}/root${this.#directory}/filler`;
  }

  /** Takes all space that is left. */
  fill(pid: number): void {
    const file = openSync(this.#filler(pid), 'a');
    const block = Buffer.alloc(4096, 1);
    try {
      for (;;) writeSync(file, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  free(pid: number): void {
    rmSync(this.#filler(pid));
  }

  /** Puts a read-only file system in its place, which still says whose it is. */
  cover(pid: number): void {
    const script =
      'owner=$(cat "$1/lock-owner") && mount -t tmpfs none "$1" && echo "$owner" >"$1/lock-owner" && mount -o remount,ro "$1"';
    this.#inside(pid, 'sh', '-ec', script, 'sh', this.#directory);
  }

  /** Unplugs it: its path leads to an empty directory, which can be written to. */
  unplug(pid: number): void {
    this.#inside(pid, 'mount', '-t', 'tmpfs', 'none', this.#directory);
  }

  /** What the gateway sees in its place. */
  list(pid: number): readonly string[] {
    return readdirSync(`/proc/${pid}/root${this.#directory}`);
  }

  /** Undoes {@link cover} and {@link unplug}. */
  uncover(pid: number): void {
    this.#inside(pid, 'umount', this.#directory);
  }

  #inside(pid: number, ...command: readonly string[]): void {
    execFileSync('nsenter', ['-t', String(pid), '-U', '-m', '--preserve-credentials', ...command]);
  }
}
