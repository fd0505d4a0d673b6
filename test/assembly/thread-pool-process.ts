/** A process that sizes its pool as `sluice` does, and says how many threads that has. */
import { poolThreads, sizeThreadPool } from '../../src/assembly/thread-pool.ts';

sizeThreadPool(process.env);
process.stdout.write(String(await poolThreads()));
