import type { ProducerRecord, SerializedRecord } from '../../core/record.ts';
import type { BottleneckKind } from '../batches/bottleneck.ts';
import type { SendCallback } from './sends.ts';

/** A send that could not be appended at once. */
export interface WaitingSend<K, V> {
  readonly record: ProducerRecord<K, V>;
  readonly callback: SendCallback;
  /** Monotonic milliseconds at which max.block.ms is over. */
  readonly deadlineMs: number;
  /** undefined: its serializers are still to be asked, or are getting ready. */
  serialized: SerializedRecord | undefined;
  /** Resolves when the serializers are ready, or should be asked again. */
  preparing: Promise<void> | undefined;
  onTaken?: (() => void)[];
}

/** The sends that wait for one topic: first in, first out, so that none overtakes another of its key. */
export class SendLine<K, V> {
  readonly topic: string;
  readonly #sends: WaitingSend<K, V>[] = [];
  #first = 0;
  /** The head is being worked on, or waits for something that will call back. */
  busy = false;
  /** What the head waited for last. */
  waitsFor: BottleneckKind = 'metadata';
  cancelTimer: () => void = () => {};

  constructor(topic: string) {
    this.topic = topic;
  }

  get length(): number {
    return this.#sends.length - this.#first;
  }

  get head(): WaitingSend<K, V> | undefined {
    return this.#sends[this.#first];
  }

  get tail(): WaitingSend<K, V> | undefined {
    return this.length === 0 ? undefined : this.#sends.at(-1);
  }

  push(send: WaitingSend<K, V>): void {
    this.#sends.push(send);
  }

  /** Resolves when all that stand in line now have left it. */
  whenTaken(): Promise<void> {
    const { tail } = this;
    if (tail === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      (tail.onTaken ??= []).push(resolve);
    });
  }

  /** Takes the head out. An array's own shift() would move all the others each time. */
  shift(): WaitingSend<K, V> | undefined {
    const { head } = this;
    if (head === undefined) return undefined;
    this.#first++;
    for (const resolve of head.onTaken ?? []) resolve();
    if (this.#first >= 1_024 && this.#first * 2 >= this.#sends.length) {
      this.#sends.splice(0, this.#first);
      this.#first = 0;
    }
    return head;
  }
}
