/** The program of the journal's thread. */
import { parentPort } from 'node:worker_threads';
import { nodeFs } from '../../durable-log/file-system.ts';
import { serveDisk } from './disk-thread.ts';
import { JournalDisk } from './journal-disk.ts';

if (parentPort === null) throw new Error('this file is the program of a worker thread');
serveDisk(parentPort, new JournalDisk(nodeFs, Date.now));
