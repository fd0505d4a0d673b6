import type { SerializedRecord } from '../../core/record.ts';
import type { AuditedResult } from './audit-log.ts';

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
