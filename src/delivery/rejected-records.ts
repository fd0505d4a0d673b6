import type { Clock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import { NO_HEADERS, type SerializedRecord } from '../core/record.ts';
import type { DecodeFault } from '../core/route.ts';
import { toRejectedRecord, type RecordSource } from './dead-letter.ts';
import type { RecordSink, RecordTarget, RejectedRecord } from './record-sink.ts';

/** A record that Kafka did not take, and who waits for it. */
export interface Rejection {
  readonly record: RejectedRecord;
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly fault: DecodeFault;
  readonly source: RecordSource;
  readonly target: RecordTarget;
  readonly token: number;
  /** Its dead letter can't be sent either, and never will be. */
  readonly onRefused: (error: SluiceError) => void;
}

/** Sends dead letters of records that Kafka did not take, in their place: the same target hears of them. */
export class RejectedRecords {
  readonly #records: RecordSink;
  readonly #clock: Clock;
  readonly #record: SerializedRecord = {
    topic: '',
    key: null,
    value: null,
    timestampMs: 0,
    headers: NO_HEADERS,
  };

  constructor(records: RecordSink, clock: Clock) {
    this.#records = records;
    this.#clock = clock;
  }

  /** Borrows the record: it may be a view on memory that is used again. */
  append(rejection: Rejection): void {
    toRejectedRecord(rejection, this.#clock.wallMs(), this.#record);
    this.#append(this.#record, rejection);
  }

  /** While there is no room, a copy waits: no more of them than the producer held. */
  #append(record: SerializedRecord, rejection: Rejection): void {
    const refusal = this.#records.tryAppend(record, rejection.target, rejection.token);
    if (refusal === undefined) return;
    if (refusal instanceof SluiceError) {
      rejection.onRefused(refusal);
      return;
    }
    const copy =
      record === this.#record ? { ...record, key: copyOf(record.key), value: copyOf(record.value) } : record;
    refusal.wait(() => {
      this.#append(copy, rejection);
    });
  }
}

function copyOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : new Uint8Array(bytes);
}
