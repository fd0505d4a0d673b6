import type { SluiceConfig } from '../../config/config.ts';
import { type Clock, within } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { SerializedRecord } from '../../core/record.ts';
import type { PartitionedSink } from '../../delivery/ports.ts';
import { NodeLogDirectory } from '../../durable-log/log-directory.ts';
import type { Producer } from '../../producer/producer.ts';
import { type AuditedResult, AuditLog } from './audit-log.ts';

/** Who is told what became of a record, as the producer sees it. */
export interface CompletionTarget<R> {
  recordCompleted(token: number, result: R, index: number): void;
}

/** A producer, as whoever appends records to it sees it. */
export interface AppendableSink<R, Refusal> {
  tryAppend(record: SerializedRecord, target: CompletionTarget<R>, token: number): Refusal | undefined;
}

type Result = AuditedResult & { readonly error: unknown };

/**
 * A producer in front of which every completion is noted: after whoever waits for it has been told, so that the
 * entry follows the acknowledgement. Without an audit log nothing of this is there, and it costs nothing.
 */
export class AuditedSink<R extends Result, Refusal> implements AppendableSink<R, Refusal> {
  readonly #sink: AppendableSink<R, Refusal>;
  readonly #note: (result: AuditedResult, index: number) => void;
  /** There are a few targets, which live as long as the gateway. */
  readonly #targets = new WeakMap<CompletionTarget<R>, CompletionTarget<R>>();
  /** The other way round. */
  readonly #owners = new WeakMap<CompletionTarget<R>, CompletionTarget<R>>();
  #lastTarget: CompletionTarget<R> | undefined;
  #lastAudited: CompletionTarget<R> | undefined;

  constructor(sink: AppendableSink<R, Refusal>, note: (result: AuditedResult, index: number) => void) {
    this.#sink = sink;
    this.#note = note;
  }

  tryAppend(record: SerializedRecord, target: CompletionTarget<R>, token: number): Refusal | undefined {
    return this.#sink.tryAppend(record, this.#audited(target), token);
  }

  /** Who was appended with, of a target as the producer knows it. */
  ownerOf(target: CompletionTarget<R>): CompletionTarget<R> {
    return this.#owners.get(target) ?? target;
  }

  #audited(target: CompletionTarget<R>): CompletionTarget<R> {
    if (target === this.#lastTarget && this.#lastAudited !== undefined) return this.#lastAudited;
    let audited = this.#targets.get(target);
    if (audited === undefined) {
      const note = this.#note;
      audited = {
        recordCompleted(token, result, index) {
          target.recordCompleted(token, result, index);
          if (result.error === undefined) note(result, index);
        },
      };
      this.#targets.set(target, audited);
      this.#owners.set(audited, target);
    }
    this.#lastTarget = target;
    this.#lastAudited = audited;
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
