import { readFile } from 'node:fs/promises';

import type { Clock } from '../../core/clock.ts';
import type { BrokerFolder } from './broker-files.ts';
import { GRACE_MS } from './broker-process.ts';
import { LocalKafkaError } from './errors.ts';
import type { OnProgress } from './jars.ts';
import { pause } from '../../core/clock.ts';
import { isRunning, signal, type ProcessIdentity } from './process-identity.ts';
import type { ProcessRecord } from './watcher.ts';

/**
 * Settles what is left of an earlier start on the same data folder, by the note that its watcher wrote, in
 * which every process is told by pid and start time. Of four cases:
 * - nothing runs any more: nothing to do;
 * - the owner lives: the folder is in use;
 * - the owner is gone and its watcher lives: Kafka is being ended, so this waits until it is gone. Taking over
 *   a Kafka that has had its SIGTERM would only postpone its end;
 * - Kafka alone lives, since its watcher was killed too: it is healthy, and returned to be adopted. If it is
 *   on another port than is wanted now, it is ended instead.
 * @throws LocalKafkaError KAFKA_DATA_FOLDER_IN_USE
 */
export async function settlePredecessor(
  folder: BrokerFolder,
  port: number,
  clock: Clock,
  onProgress: OnProgress,
  stopping: AbortSignal,
): Promise<ProcessIdentity | undefined> {
  const record = await readRecord(folder);
  if (record === undefined || !isRunning(record.kafka)) return undefined;
  const { kafka, owner, watcher } = record;
  // This process itself is the owner when its own watcher was killed and Kafka has to be adopted anew.
  const isOurs = owner.pid === process.pid;
  if (isRunning(watcher) ? isRunning(owner) : isRunning(owner) && !isOurs) {
    throw new LocalKafkaError(
      'KAFKA_DATA_FOLDER_IN_USE',
      `Another Sluice (pid ${owner.pid}) runs the local Kafka of ${folder.path}, on 127.0.0.1:${record.port}`,
      `Stop that one, give this one a data folder and a port of its own (kafka.local), ` +
        `or share its Kafka (kafka.bootstrap.servers: 127.0.0.1:${record.port})`,
    );
  }
  if (isRunning(watcher)) {
    onProgress('the Kafka of the last run is still closing its logs ...');
    await untilGone(kafka, clock, stopping, GRACE_MS + 10_000);
  } else if (record.port === port) {
    return kafka;
  } else {
    onProgress(`ending the Kafka of the last run, which is on port ${record.port} ...`);
    signal(kafka, 'SIGTERM');
    await untilGone(kafka, clock, stopping, GRACE_MS);
  }
  signal(kafka, 'SIGKILL');
  await untilGone(kafka, clock, stopping, GRACE_MS);
  return undefined;
}

async function readRecord(folder: BrokerFolder): Promise<ProcessRecord | undefined> {
  try {
    return JSON.parse(await readFile(folder.processes, 'utf8')) as ProcessRecord;
  } catch {
    // None, or one of a version that wrote another format: then Kafka's own lock on its folder must do.
    return undefined;
  }
}

async function untilGone(
  kafka: ProcessIdentity,
  clock: Clock,
  stopping: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const deadline = clock.monotonicMs() + timeoutMs;
  while (isRunning(kafka) && clock.monotonicMs() < deadline && !stopping.aborted) {
    await pause(clock, 100, stopping);
  }
}
