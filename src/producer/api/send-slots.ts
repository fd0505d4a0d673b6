import type { RecordMetadata } from '../../core/record.ts';
import type { BatchResult } from '../cluster/record-target.ts';
import type { SendCallback } from './sends.ts';

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

  /** Tells the sender of the record what became of it; throws what the callback throws. */
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
