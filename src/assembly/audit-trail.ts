import { AuditDirectory } from '../audit/audit-files.ts';
import { AuditLog } from '../audit/audit-log.ts';
import { AuditedSink } from '../audit/audited-sink.ts';
import type { SluiceConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { RecordSink } from '../delivery/record-sink.ts';
import type { Producer } from '../producer/producer.ts';

/** A producer, and the audit log of what it was acknowledged, where the configuration wants one. */
export interface AuditTrail {
  /** What delivery appends to. */
  readonly records: RecordSink;
  readonly log: AuditLog | undefined;
}

export function auditTrail(
  producer: Producer,
  { audit }: Pick<SluiceConfig, 'audit'>,
  clock: Clock,
  logger: Logger,
): AuditTrail {
  if (audit === undefined) return { records: producer, log: undefined };
  const { directory, ...bounds } = audit;
  const log = new AuditLog({ ...bounds, files: new AuditDirectory(directory), clock, logger });
  const records = new AuditedSink(producer, (result, index) => {
    log.add(result, index);
  });
  return { records, log };
}
