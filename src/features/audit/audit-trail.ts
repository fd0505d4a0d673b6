import type { SluiceConfig } from '../../config/config.ts';
import { type Clock, within } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { PartitionedSink, RecordResult, RecordSink, RecordTarget } from '../../delivery/ports.ts';
import { NodeLogDirectory } from '../../durable-log/log-directory.ts';
import type { Producer } from '../../producer/producer.ts';
import { type AuditedResult, AuditLog } from './audit-log.ts';

/** What the producer says of a batch: more than delivery asks for. */
type Result = RecordResult & AuditedResult;

/** Whoever waits for records, with a note of each that Kafka has: after it has been told. */
class AuditedTarget implements RecordTarget {
  readonly owner: RecordTarget;
  readonly #note: (result: Result, index: number) => void;

  constructor(owner: RecordTarget, note: (result: Result, index: number) => void) {
    this.owner = owner;
    this.#note = note;
  }

  recordCompleted(token: number, result: Result, index: number): void {
    this.owner.recordCompleted(token, result, index);
    if (result.error === undefined) this.#note(result, index);
  }
}

/**
 * A producer in front of which every completion is noted: after whoever waits for it has been told, so that the
 * entry follows the acknowledgement. Without an audit log nothing of this is there, and it costs nothing.
 */
export class AuditedSink implements RecordSink {
  readonly #sink: RecordSink;
  readonly #note: (result: Result, index: number) => void;
  /** There are a few, which live as long as the gateway. */
  readonly #targets = new WeakMap<RecordTarget, AuditedTarget>();
  #last: AuditedTarget | undefined;

  constructor(sink: RecordSink, note: (result: Result, index: number) => void) {
    this.#sink = sink;
    this.#note = note;
  }

  tryAppend(
    record: SerializedRecord,
    target: RecordTarget,
    token: number,
  ): ReturnType<RecordSink['tryAppend']> {
    if (this.#last?.owner !== target) this.#last = this.#audited(target);
    return this.#sink.tryAppend(record, this.#last, token);
  }

  /** Who was appended with, of a target as the producer knows it. */
  ownerOf(target: RecordTarget): RecordTarget {
    return target instanceof AuditedTarget ? target.owner : target;
  }

  #audited(target: RecordTarget): AuditedTarget {
    const audited = this.#targets.get(target) ?? new AuditedTarget(target, this.#note);
    this.#targets.set(target, audited);
    return audited;
  }
}

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
  const log = new AuditLog({ ...bounds, directory: new NodeLogDirectory(directory), clock, logger });
  const sink = new AuditedSink(producer, (result, index) => log.add(result, index));
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
