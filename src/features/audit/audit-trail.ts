import { AuditDirectory } from './audit-files.ts';
import { AuditLog } from './audit-log.ts';
import { AuditedSink } from './audited-sink.ts';
import type { SluiceConfig } from '../../config/config.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import { within } from '../../core/clock.ts';
import type { PartitionedSink } from '../../delivery/record-sink.ts';
import type { Producer } from '../../producer/producer.ts';

/** A producer, and the audit log of what it was acknowledged, where the configuration wants one. */
export interface AuditTrail {
  /** What delivery appends to. */
  readonly records: PartitionedSink;
  readonly log: AuditLog | undefined;
  /** Takes what is there to the disk; a disk that hangs holds up the end of a gateway for so long at most. */
  close(limitMs: number): Promise<void>;
}

export function auditTrail(
  producer: Producer,
  { audit }: Pick<SluiceConfig, 'audit'>,
  clock: Clock,
  logger: Logger,
): AuditTrail {
  if (audit === undefined) return { records: producer, log: undefined, close: () => Promise.resolve() };
  const { directory, ...bounds } = audit;
  const log = new AuditLog({ ...bounds, files: new AuditDirectory(directory), clock, logger });
  const sink = new AuditedSink(producer, (result, index) => {
    log.add(result, index);
  });
  const records: PartitionedSink = {
    tryAppend: (record, target, token) => sink.tryAppend(record, target, token),
    partitionOf: (record) => producer.partitionOf(record),
    partitionCount: (topic) => producer.partitionCount(topic),
    connectionState: () => producer.connectionState(),
    get buffer() {
      return producer.buffer;
    },
    *unacknowledged(topic, partition) {
      for (const waiting of producer.unacknowledged(topic, partition)) {
        yield { ...waiting, target: sink.ownerOf(waiting.target) };
      }
    },
  };
  return {
    records,
    log,
    close: (limitMs) => within(clock, limitMs, log.close()),
  };
}
