import { errorMessage } from '../../core/errors.ts';
import { encodeHeaders, NO_HEADERS } from '../../core/record.ts';
import type { ProducerRecord, RecordMetadata, SerializedRecord } from '../../core/record.ts';
import type { Bottleneck, BottleneckKind } from '../batches/bottleneck.ts';
import type { BatchResult, RecordTarget } from '../batches/producer-batch.ts';
import type { ProducerContext } from '../context.ts';
import { MaxBlockTimeoutError, ProducerClosedError, ProducerError } from '../errors.ts';
import { ByteArraySerializer, cannotSerialize } from '../serializers/serializer.ts';
import type { RecordPart, Serializer } from '../serializers/serializer.ts';
import { failureMetadata, SendPromise, SendSlots, type SendCallback } from './send-results.ts';

export interface SendsOptions<K, V> {
  /** Left out, keys are bytes. */
  readonly keySerializer: Serializer<K> | undefined;
  readonly valueSerializer: Serializer<V> | undefined;
  /** Appends the record to its batch; see Producer.tryAppend. */
  readonly append: (
    record: SerializedRecord,
    partition: number | undefined,
    target: RecordTarget,
    token: number,
  ) => Bottleneck | ProducerError | undefined;
  /** What is known to be wrong with a topic. */
  readonly topicFault: (topic: string) => ProducerError | undefined;
}

/**
 * The way of `send()`: serializes records and appends them, and holds those that can't be appended yet, for at
 * most max.block.ms, in a line for each topic.
 */
export class Sends<K, V> implements RecordTarget {
  readonly #context: ProducerContext;
  readonly #options: SendsOptions<K, V>;
  readonly #keySerializer: Serializer<K>;
  readonly #valueSerializer: Serializer<V>;
  readonly #slots = new SendSlots();
  #closed = false;
  readonly #lines = new Map<string, SendLine<K, V>>();
  /** Filled anew for every record that is appended at once; the batch copies it. */
  readonly #scratch: SerializedRecord = {
    topic: '',
    key: null,
    value: null,
    timestampMs: 0,
    headers: NO_HEADERS,
  };

  constructor(context: ProducerContext, options: SendsOptions<K, V>) {
    this.#context = context;
    this.#options = options;
    this.#keySerializer = serializerOf('key', options.keySerializer);
    this.#valueSerializer = serializerOf('value', options.valueSerializer);
  }

  /** Sends that wait to be appended, by topic. */
  *waiting(): Generator<{ readonly topic: string; readonly records: number }> {
    for (const { topic, length } of this.#lines.values()) yield { topic, records: length };
  }

  get isBlocked(): boolean {
    return this.#lines.size > 0;
  }

  /** Resolves when all that wait now have been appended, or have failed. */
  async whenTaken(): Promise<void> {
    await Promise.all([...this.#lines.values()].map((line) => line.whenTaken()));
  }

  /** Takes no more sends; those that wait go on. */
  close(): void {
    this.#closed = true;
  }

  /** Sends, and answers with a promise. It may reject without harm while nobody looks at it. */
  sendWithPromise(record: ProducerRecord<K, V>): Promise<RecordMetadata> {
    const { mistakes, clock } = this.#context;
    mistakes.sendBegun(clock.monotonicMs());
    const promise = new SendPromise<RecordMetadata>((resolve, reject) => {
      this.send(record, (error, metadata) => {
        mistakes.sendEnded(clock.monotonicMs());
        if (error === undefined) {
          resolve(metadata);
          return;
        }
        promise.tolerateRejection();
        reject(error);
        // A caller that has awaited something else in the meantime gets the rest of this turn to look.
        setImmediate(() => {
          if (!promise.observed) mistakes.unobservedFailure(error);
        });
      });
    });
    return promise;
  }

  send(record: ProducerRecord<K, V>, callback: SendCallback): void {
    if (this.#closed) {
      this.#refuse(record, callback, new ProducerClosedError());
      return;
    }
    const line = this.#lines.get(record.topic);
    try {
      if (line === undefined) this.#sendNow(record, callback);
      else this.#sendBehind(line, record, callback);
    } catch (error) {
      this.#refuse(record, callback, asProducerError(error, record.topic));
    }
  }

  #sendNow(record: ProducerRecord<K, V>, callback: SendCallback): void {
    const preparing = this.#prepare(record);
    if (preparing !== undefined) {
      this.#queue(this.#openLine(record.topic), record, callback, undefined, preparing);
      return;
    }
    const serialized = this.#serialize(record);
    const refusal = this.#append(record, serialized, callback);
    if (refusal === undefined) return;
    if (refusal instanceof ProducerError) this.#refuse(record, callback, refusal);
    else this.#queue(this.#openLine(record.topic), record, callback, copyOf(serialized));
  }

  /** Serialized now if that is possible in its turn, so that later changes to its value don't matter. */
  #sendBehind(line: SendLine<K, V>, record: ProducerRecord<K, V>, callback: SendCallback): void {
    const isItsTurn = line.tail?.serialized !== undefined;
    const preparing = isItsTurn ? this.#prepare(record) : undefined;
    const isReady = isItsTurn && preparing === undefined;
    this.#queue(line, record, callback, isReady ? copyOf(this.#serialize(record)) : undefined, preparing);
  }

  #append(record: ProducerRecord<K, V>, serialized: SerializedRecord, callback: SendCallback) {
    const { key, value, timestampMs } = serialized;
    const slot = this.#slots.take(callback, timestampMs, key?.length ?? -1, value?.length ?? -1);
    const refusal = this.#options.append(serialized, record.partition, this, slot);
    if (refusal === undefined) return undefined;
    this.#slots.release(slot);
    if (refusal instanceof ProducerError || refusal.kind !== 'metadata') return refusal;
    // As in Java: what only the topic's owner can mend is not waited for.
    const fault = this.#options.topicFault(record.topic);
    return fault === undefined || fault.retriable ? refusal : fault;
  }

  #prepare({ topic, key = null, value }: ProducerRecord<K, V>): Promise<void> | undefined {
    const forKey = this.#keySerializer.prepare?.(topic, key);
    const forValue = this.#valueSerializer.prepare?.(topic, value);
    if (forKey === undefined || forValue === undefined) return forKey ?? forValue;
    return Promise.all([forKey, forValue]).then(() => {});
  }

  #serialize(record: ProducerRecord<K, V>): SerializedRecord {
    const into = this.#scratch;
    const { topic, key = null, value, headers } = record;
    into.topic = topic;
    into.key = this.#keySerializer.serialize(topic, key, headers);
    into.value = this.#valueSerializer.serialize(topic, value, headers);
    into.timestampMs = record.timestamp ?? this.#context.clock.wallMs();
    into.headers = headers === undefined || headers.length === 0 ? NO_HEADERS : encodeHeaders(headers);
    return into;
  }

  #openLine(topic: string): SendLine<K, V> {
    const line = new SendLine<K, V>(topic);
    this.#lines.set(topic, line);
    return line;
  }

  #queue(
    line: SendLine<K, V>,
    record: ProducerRecord<K, V>,
    callback: SendCallback,
    serialized: SerializedRecord | undefined,
    preparing?: Promise<void>,
  ): void {
    const { clock, config } = this.#context;
    const deadlineMs = clock.monotonicMs() + config.maxBlockMs;
    // Its rejection is looked at when it is the record's turn.
    preparing?.catch(() => {});
    line.push({ record, callback, deadlineMs, serialized, preparing });
    if (line.length > 1) return;
    this.#armTimer(line);
    this.#advance(line);
  }

  /** Appends what can be appended, in order; ends when the line is empty or its head must wait. */
  #advance(line: SendLine<K, V>): void {
    if (line.busy) return;
    for (let head = line.head; head !== undefined; head = line.head) {
      try {
        if (head.serialized === undefined) {
          const wait = head.preparing ?? this.#prepare(head.record);
          head.preparing = undefined;
          if (wait !== undefined) {
            this.#resumeAfter(line, head, wait);
            return;
          }
          head.serialized = copyOf(this.#serialize(head.record));
        }
        const refusal = this.#append(head.record, head.serialized, head.callback);
        if (refusal instanceof ProducerError) this.#refuse(head.record, head.callback, refusal);
        else if (refusal !== undefined) {
          line.waitsFor = refusal.kind;
          refusal.wait(this.#suspend(line));
          return;
        }
      } catch (error) {
        this.#refuse(head.record, head.callback, asProducerError(error, line.topic));
      }
      line.shift();
    }
    this.#closeLine(line);
  }

  /** Nothing is done for the line until what this returns is called. */
  #suspend(line: SendLine<K, V>): () => void {
    line.busy = true;
    return () => {
      line.busy = false;
      this.#advance(line);
    };
  }

  #resumeAfter(line: SendLine<K, V>, head: WaitingSend<K, V>, wait: Promise<void>): void {
    const resume = this.#suspend(line);
    wait.then(resume, (error: unknown) => {
      if (line.head === head) {
        line.shift();
        this.#refuse(head.record, head.callback, asProducerError(error, line.topic));
      }
      resume();
    });
  }

  #closeLine(line: SendLine<K, V>): void {
    line.cancelTimer();
    if (this.#lines.get(line.topic) === line) this.#lines.delete(line.topic);
  }

  /** One timer a line: deadlines stand in the order of the sends. */
  #armTimer(line: SendLine<K, V>): void {
    const { clock } = this.#context;
    const { head } = line;
    line.cancelTimer();
    if (head === undefined) return;
    const restMs = Math.max(0, Math.ceil(head.deadlineMs - clock.monotonicMs()));
    line.cancelTimer = clock.schedule(() => this.#expire(line), restMs);
  }

  #expire(line: SendLine<K, V>): void {
    const nowMs = this.#context.clock.monotonicMs();
    for (let head = line.head; head !== undefined && head.deadlineMs <= nowMs; head = line.head) {
      const error = this.#blocked(line, head);
      line.shift();
      this.#refuse(head.record, head.callback, error);
    }
    if (line.head === undefined) this.#closeLine(line);
    else this.#armTimer(line);
  }

  /** Why a send at the head of its line has waited for max.block.ms: what it lacks, and why that is not there. */
  #blocked({ topic, waitsFor }: SendLine<K, V>, { serialized }: WaitingSend<K, V>): MaxBlockTimeoutError {
    const { maxBlockMs, bufferMemoryBytes } = this.#context.config;
    const within = `within max.block.ms (${maxBlockMs} ms)`;
    if (serialized === undefined) {
      const message = `a serializer was not ready for a record for topic '${topic}' ${within}`;
      return new MaxBlockTimeoutError('serializer', message);
    }
    if (waitsFor === 'metadata') {
      const cause = this.#options.topicFault(topic);
      const { lastFailure } = this.#context.port.connectionState();
      const why = cause?.message ?? lastFailure ?? 'no broker has told us about it';
      const message = `a record for topic '${topic}' could not be taken ${within}: ${why}`;
      return new MaxBlockTimeoutError('metadata', message, cause === undefined ? undefined : { cause });
    }
    const room = waitsFor === 'partition' ? "its partition's share of buffer.memory" : 'buffer.memory';
    const lack = `no room for a record for topic '${topic}' in ${room} (${bufferMemoryBytes} bytes in all)`;
    const why = 'Kafka takes records more slowly than they are sent, or not at all';
    return new MaxBlockTimeoutError('memory', `${lack} ${within}: ${why}`);
  }

  /** Everything that waits fails: the producer gives up. */
  abandon(error: ProducerError): void {
    for (const line of [...this.#lines.values()]) {
      for (let send = line.shift(); send !== undefined; send = line.shift()) {
        this.#refuse(send.record, send.callback, error);
      }
      this.#closeLine(line);
    }
  }

  recordCompleted(slot: number, result: BatchResult, index: number): void {
    this.#slots.complete(slot, result, index);
  }

  /** The record is not taken. Its callback is called after send() has returned: only then has the caller its promise. */
  #refuse(record: ProducerRecord<K, V>, callback: SendCallback, error: ProducerError): void {
    const { topic, partition = -1 } = record;
    queueMicrotask(() => {
      try {
        callback(error, failureMetadata(topic, partition));
      } catch (thrown) {
        this.#context.logger.error({ reason: errorMessage(thrown) }, 'a callback of the producer threw');
      }
    });
  }
}

/** Bytes that nobody else changes while the record waits. */
function copyOf({ topic, key, value, timestampMs, headers }: SerializedRecord): SerializedRecord {
  return { topic, key: bytesOf(key), value: bytesOf(value), timestampMs, headers };
}

function bytesOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : new Uint8Array(bytes);
}

function asProducerError(error: unknown, topic: string): ProducerError {
  return error instanceof ProducerError ? error : cannotSerialize(topic, 'its type', error);
}

function serializerOf<T>(part: RecordPart, given: Serializer<T> | undefined): Serializer<T> {
  // Without a serializer the type parameter is its default: bytes.
  const serializer = given ?? (new ByteArraySerializer() as Serializer<unknown>);
  if (serializer.part !== undefined && serializer.part !== part) {
    const message = `the serializer of the ${part} is made for the ${serializer.part}`;
    throw new ProducerError('CONFIG_INVALID', message);
  }
  return serializer;
}

/** A send that could not be appended at once. */
interface WaitingSend<K, V> {
  readonly record: ProducerRecord<K, V>;
  readonly callback: SendCallback;
  /** Monotonic milliseconds at which max.block.ms is over. */
  readonly deadlineMs: number;
  /** undefined: its serializers are still to be asked, or are getting ready. */
  serialized: SerializedRecord | undefined;
  /** Resolves when the serializers are ready, or should be asked again. */
  preparing: Promise<void> | undefined;
  /** Resolved when the send leaves the line, if anybody waits for that. */
  taken?: PromiseWithResolvers<void>;
}

/** The sends that wait for one topic: first in, first out, so that none overtakes another of its key. */
class SendLine<K, V> {
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
  async whenTaken(): Promise<void> {
    const { tail } = this;
    if (tail !== undefined) await (tail.taken ??= Promise.withResolvers()).promise;
  }

  /** Takes the head out. An array's own shift() would move all the others each time. */
  shift(): WaitingSend<K, V> | undefined {
    const { head } = this;
    if (head === undefined) return undefined;
    this.#first++;
    head.taken?.resolve();
    if (this.#first >= 1_024 && this.#first * 2 >= this.#sends.length) {
      this.#sends.splice(0, this.#first);
      this.#first = 0;
    }
    return head;
  }
}
