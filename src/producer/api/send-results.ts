import type { RecordMetadata } from '../../core/record.ts';
import type { BatchResult } from '../batches/producer-batch.ts';
import type { ProducerError } from '../errors.ts';

/**
 * Is called once with the result of a send, never before `send()` has returned. As in Java there is always
 * `metadata`. With an error it names the topic, the partition if one was chosen (otherwise -1), and -1 for the rest.
 */
export type SendCallback = (error: ProducerError | undefined, metadata: RecordMetadata) => void;

/**
 * The sends in flight, as parallel arrays and a free list: what each needs when its result comes, without an
 * object a record. It grows to the most that were ever in flight at once, which buffer.memory bounds.
 */
export class SendSlots {
  readonly #callbacks: (SendCallback | undefined)[] = [];
  readonly #timestamps: number[] = [];
  readonly #keySizes: number[] = [];
  readonly #valueSizes: number[] = [];
  readonly #free: number[] = [];

  take(callback: SendCallback, timestampMs: number, keySize: number, valueSize: number): number {
    const slot = this.#free.pop() ?? this.#callbacks.length;
    this.#callbacks[slot] = callback;
    this.#timestamps[slot] = timestampMs;
    this.#keySizes[slot] = keySize;
    this.#valueSizes[slot] = valueSize;
    return slot;
  }

  release(slot: number): void {
    this.#callbacks[slot] = undefined;
    this.#free.push(slot);
  }

  /** Calls the callback with the result of its record; throws what the callback throws. */
  complete(slot: number, result: BatchResult, index: number): void {
    const callback = this.#callbacks[slot] as SendCallback;
    const timestampMs = this.#timestamps[slot] as number;
    const serializedKeySize = this.#keySizes[slot] as number;
    const serializedValueSize = this.#valueSizes[slot] as number;
    this.release(slot);
    const { topic, partition, baseOffset, logAppendTimeMs, error } = result;
    if (error !== undefined) {
      callback(error, failureMetadata(topic, partition));
      return;
    }
    callback(undefined, {
      topic,
      partition,
      offset: baseOffset === -1n ? -1n : baseOffset + BigInt(index),
      timestamp: logAppendTimeMs === -1 ? timestampMs : logAppendTimeMs,
      serializedKeySize,
      serializedValueSize,
    });
  }
}

/** What stands for metadata of a record that Kafka does not have. */
export function failureMetadata(topic: string, partition: number): RecordMetadata {
  return { topic, partition, offset: -1n, timestamp: -1, serializedKeySize: -1, serializedValueSize: -1 };
}

/**
 * The promise of `send()`. It knows whether anybody looks at it, so that a failed send that nobody awaits is
 * counted and logged instead of ending the process as an unhandled rejection.
 */
export class SendPromise<T> extends Promise<T> {
  /** Somebody awaits it, or attached a handler. */
  observed = false;

  /** What is derived from it is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.observed = true;
    return super.then(onFulfilled, onRejected);
  }

  /** To be called before it is rejected. Handlers that are attached to it get the rejection nevertheless. */
  tolerateRejection(): void {
    super.then(undefined, () => {});
  }
}
