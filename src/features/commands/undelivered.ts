import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import { encodeHeaders, emptyRecord, type Header, type SerializedRecord } from '../../core/record.ts';
import type { RecordError, RecordResult, RecordSink, RecordTarget } from '../../delivery/ports.ts';
import type { Obstacle } from './command.ts';

/** The headers of an undelivered command, by name, beside those that it had. Values are UTF-8 text. */
const UNDELIVERED_HEADERS = {
  /** Stable code of the reason, e.g. QUEUE_FULL. */
  code: 'error.code',
  /** The reason in words. */
  message: 'error.message',
  /** Where the command stands in Kafka. */
  topic: 'command.topic',
  partition: 'command.partition',
  offset: 'command.offset',
  mqttTopic: 'mqtt.topic',
  clientId: 'mqtt.client.id',
} as const;

/** A command that does not reach its device. */
export interface UndeliveredCommand {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly Header[];
  /** undefined where it is not known which device it was for. */
  readonly mqttTopic: string | undefined;
  readonly clientId: string | undefined;
  readonly obstacle: Obstacle;
}

interface Waiting {
  readonly kafkaTopic: string;
  readonly command: UndeliveredCommand;
  readonly done: () => void;
}

/** After a failure that another try may not meet. */
const RETRY_MS = 1_000;

/** Writes commands that were not delivered to Kafka, each until Kafka has it. */
export class Undelivered implements RecordTarget {
  readonly #outlet: RecordSink;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Not with the producer yet. */
  readonly #waiting: Waiting[] = [];
  readonly #sent = new Map<number, Waiting>();
  #token = 0;
  /** Something calls {@link #drain} when there is room again. */
  #isBlocked = false;
  #isClosed = false;
  readonly #record = emptyRecord();

  constructor(outlet: RecordSink, clock: Clock, logger: Logger) {
    this.#outlet = outlet;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** `done` is called once Kafka has it; not at all if the gateway stops before. */
  write(kafkaTopic: string, command: UndeliveredCommand, done: () => void): void {
    this.#waiting.push({ kafkaTopic, command, done });
    if (!this.#isBlocked) this.#drain();
  }

  /** What is not with Kafka yet comes again after the next start, because its offset is not committed. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#sent.clear();
  }

  #drain(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const token = this.#token++;
      fill(this.#record, next, this.#clock.wallMs());
      const refusal = this.#outlet.tryAppend(this.#record, this, token);
      if (refusal !== undefined && 'wait' in refusal) {
        this.#isBlocked = true;
        refusal.wait(this.#unblocked);
        return;
      }
      this.#waiting.shift();
      if (refusal === undefined) this.#sent.set(token, next);
      else this.#failed(next, refusal);
      if (this.#isBlocked) return;
    }
  }

  readonly #unblocked = (): void => {
    this.#isBlocked = false;
    this.#drain();
  };

  recordCompleted(token: number, { error }: Pick<RecordResult, 'error'>): void {
    const sent = this.#sent.get(token);
    this.#sent.delete(token);
    if (sent === undefined) return;
    if (error === undefined) sent.done();
    else this.#failed(sent, error);
  }

  #failed(waiting: Waiting, error: RecordError): void {
    if (this.#isClosed) return;
    if (error.isRecordFault === true) {
      this.#unwritable(waiting, error);
      return;
    }
    this.#waiting.unshift(waiting);
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#clock.schedule(this.#unblocked, RETRY_MS);
  }

  /** A record that Kafka never takes must not hold up the others: it is where it was, in the command topic. */
  #unwritable({ command, kafkaTopic, done }: Waiting, error: RecordError): void {
    const { topic, partition, offset, obstacle } = command;
    const fields = { topic, partition, offset: String(offset), code: obstacle.code, undelivered: kafkaTopic };
    const text =
      'a command that was not delivered can not be written to Kafka; it stands in the command topic alone';
    this.#logger.error({ ...fields, reason: error.message }, text);
    done();
  }
}

function fill(record: SerializedRecord, { kafkaTopic, command }: Waiting, nowMs: number): void {
  const { topic, partition, offset, mqttTopic, clientId, obstacle } = command;
  const why: Readonly<Record<keyof typeof UNDELIVERED_HEADERS, string | undefined>> = {
    ...obstacle,
    topic,
    partition: String(partition),
    offset: String(offset),
    mqttTopic,
    clientId,
  };
  const added = Object.entries(UNDELIVERED_HEADERS).flatMap(([field, key]): Header[] => {
    const text = why[field as keyof typeof UNDELIVERED_HEADERS];
    return text === undefined ? [] : [{ key, value: Buffer.from(text, 'utf8') }];
  });
  record.topic = kafkaTopic;
  record.key = command.key;
  record.value = command.value;
  record.timestampMs = nowMs;
  record.headers = encodeHeaders([...command.headers, ...added]);
}
