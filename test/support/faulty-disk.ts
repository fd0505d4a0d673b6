/**
 * Preloaded into a gateway (NODE_OPTIONS): what it does to its disks' syncs, as the folder FAULTY_DISK says. While there
 * is a FIFO `hang`, every fsync and fdatasync opens it first, and so stands in a system call, in whatever thread,
 * until the test opens the other end. While there is a file `EIO`, they fail: all of them, or, where it names folders, one
 * a line, those of files in there.
 */
import fs, { type PathLike } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const folder = process.env.FAULTY_DISK!;
const hang = join(folder, 'hang');

const { closeSync, existsSync, openSync, fdatasyncSync, fsyncSync, readFileSync, readlinkSync } = fs;

function failIfTold(fd: number): void {
  const order = join(folder, 'EIO');
  if (!existsSync(order)) return;
  const folders = readFileSync(order, 'utf8').split('\n').filter(Boolean);
  const file = readlinkSync(`/proc/self/fd/${fd}`);
  if (folders.length > 0 && !folders.some((path) => file.startsWith(`${path}/`))) return;
  throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO', syscall: 'fdatasync' });
}

/** It was healed between the look and the call. */
function unlessGone(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

function hangIfTold(): void {
  if (!fs.existsSync(hang)) return;
  try {
    closeSync(openSync(hang, 'r'));
  } catch (error) {
    unlessGone(error);
  }
}

for (const [name, sync] of Object.entries({ fdatasyncSync, fsyncSync })) {
  Object.assign(fs, {
    [name]: (fd: number) => {
      hangIfTold();
      failIfTold(fd);
      sync(fd);
    },
  });
}

const { open } = fs.promises;
Object.assign(fs.promises, {
  open: async (path: PathLike, ...rest: [string?, number?]) => {
    const file = await open(path, ...rest);
    for (const name of ['datasync', 'sync'] as const) {
      const sync = file[name].bind(file);
      file[name] = async () => {
        if (fs.existsSync(hang)) await open(hang, 'r').then((end) => end.close(), unlessGone);
        failIfTold(file.fd);
        await sync();
      };
    }
    return file;
  },
});
syncBuiltinESMExports();
