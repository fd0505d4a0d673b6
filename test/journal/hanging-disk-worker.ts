/** The journal's thread on a disk whose fdatasync takes two seconds. */
import { parentPort } from 'node:worker_threads';
import { type FileSystem, nodeFs } from '../../src/durable-log/file-system.ts';
import { serveDisk } from '../../src/journal/disk/disk-thread.ts';
import { JournalDisk } from '../../src/journal/disk/journal-disk.ts';

const slow: FileSystem = {
  ...nodeFs,
  open: (path, mode) => {
    const file = nodeFs.open(path, mode);
    return {
      read: (target, position) => file.read(target, position),
      write: (source, position) => file.write(source, position),
      truncate: (bytes) => {
        file.truncate(bytes);
      },
      size: () => file.size(),
      close: () => {
        file.close();
      },
      sync: () => {
        if (path.endsWith('.segment')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
        file.sync();
      },
    };
  },
};

serveDisk(parentPort!, new JournalDisk(slow, Date.now));
