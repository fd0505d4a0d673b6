import { systemClock, type Clock } from '../../src/core/clock.ts';
import { CONTRACTS } from '../../src/core/contract.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/logger.ts';
import type { Outcome, Publication, PublicationOrigin } from '../../src/core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import { SlotKind } from '../../src/delivery/delivery-slots.ts';
import { Ledger, balances } from '../../src/delivery/ledger/ledger.ts';
import {
  ledgerNote,
  loseUnread,
  restoreLedger,
  type LedgerEpoch,
} from '../../src/delivery/ledger/ledger-note.ts';
import type { Bottleneck, PartitionedSink, RecordResult, RecordTarget } from '../../src/delivery/ports.ts';
import { StoreAndForward, type StoreOptions } from '../../src/delivery/disk/store-and-forward.ts';
import type { Journal, JournalOptions } from '../../src/journal/journal.ts';
import type { JournalSettings } from '../../src/journal/settings.ts';
import type { MemoryFs } from '../durable-log/memory-fs.ts';
import { openRig, type Rig } from '../journal/rig.ts';
import { until } from '../support/until.ts';

interface InProducer {
  readonly record: SerializedRecord;
  readonly target: RecordTarget;
  readonly token: number;
}

/**
 * A producer whose partitions the test opens and shuts. Topics have four partitions; a key's last character says
 * which it goes to.
 */
export class GatedSink implements PartitionedSink {
  /** `topic-partition` that take nothing; `topic` alone: it isn't known. */
  readonly shut = new Set<string>();
  /** Records that a partition holds at most. */
  capacity = Number.POSITIVE_INFINITY;
  connectedBrokers = 1;
  partitions = 4;
  /** What is in the producer, by partition; `acknowledge` moves it to `log`. */
  readonly held = new Map<string, InProducer[]>();
  /** What Kafka has, in the order of each partition: values. */
  readonly log = new Map<string, string[]>();
  readonly #waiting = new Map<string, (() => void)[]>();
  /** What can never be sent, by `topic value`. */
  refusing: ((what: string) => SluiceError | undefined) | undefined;

  /** Bytes of buffer.memory that are free, of 100. */
  availableBytes = 100;

  get buffer(): { readonly totalBytes: number; readonly availableBytes: number } {
    return { totalBytes: 100, availableBytes: this.availableBytes };
  }

  unacknowledged(topic: string, partition: number): readonly InProducer[] {
    const places = [...this.held.keys()].filter((place) =>
      partition < 0 ? place.startsWith(`${topic}-`) : place === `${topic}-${partition}`,
    );
    return places.flatMap((place) => this.held.get(place) ?? []);
  }

  connectionState(): { connectedBrokers: number } {
    return { connectedBrokers: this.connectedBrokers };
  }

  partitionCount(topic: string): number {
    return this.shut.has(topic) ? 0 : this.partitions;
  }

  partitionOf(record: SerializedRecord): number {
    if (this.partitionCount(record.topic) === 0) return -2;
    return record.key === null ? -1 : Number(Buffer.from(record.key).toString().at(-1)) % this.partitions;
  }

  tryAppend(
    record: SerializedRecord,
    target: RecordTarget,
    token: number,
  ): Bottleneck | SluiceError | undefined {
    const error = this.refusing?.(`${record.topic} ${Buffer.from(record.value ?? []).toString()}`);
    if (error !== undefined) return error;
    const place = this.shut.has(record.topic)
      ? record.topic
      : `${record.topic}-${Math.max(0, this.partitionOf(record))}`;
    const held = this.held.get(place) ?? [];
    if (this.shut.has(place) || held.length >= this.capacity) {
      return {
        wait: (callback) => {
          this.#waiting.set(place, [...(this.#waiting.get(place) ?? []), callback]);
        },
      };
    }
    held.push({ record: { ...record, key: copy(record.key), value: copy(record.value) }, target, token });
    this.held.set(place, held);
    return undefined;
  }

  /** It takes records again. */
  open(place: string): void {
    this.shut.delete(place);
    this.#wake(place);
  }

  #wake(place: string): void {
    const waiting = this.#waiting.get(place) ?? [];
    this.#waiting.delete(place);
    for (const callback of waiting) callback();
  }

  /** Kafka acknowledges everything, or what one partition holds; or refuses it. */
  acknowledge(only?: string, error?: SluiceError): number {
    let records = 0;
    for (const [place, held] of this.held) {
      if (only !== undefined && place !== only) continue;
      const batch = held.splice(0);
      records += batch.length;
      batch.forEach(({ record, target, token }, index) => {
        const result: RecordResult = { error, topic: record.topic, record: (i) => batch[i]!.record };
        if (error === undefined) {
          const log = this.log.get(place) ?? [];
          log.push(Buffer.from(record.value ?? []).toString());
          this.log.set(place, log);
        }
        target.recordCompleted(token, result, index);
      });
      this.#wake(place);
    }
    return records;
  }
}

/** Store and forward on a journal in memory, between devices and a producer that the test plays. */
export class StoreRig implements PublicationOrigin {
  readonly sink: GatedSink;
  readonly ledger: Ledger;
  readonly epoch: LedgerEpoch;
  readonly fs: MemoryFs;
  readonly #rig: Rig;
  readonly store: StoreAndForward;
  /** Outcomes by token, which is the number of the message. */
  readonly outcomes = new Map<number, Outcome>();
  /** The device waits for room, and sends nothing. */
  waits = false;

  private constructor(
    rig: Rig,
    sink: GatedSink,
    ledger: Ledger,
    clock: Clock,
    options: Partial<StoreOptions>,
  ) {
    this.sink = sink;
    this.ledger = ledger;
    this.epoch = restoreLedger(ledger, rig.journal.recoveredNote, rig.journal.found, 1_000);
    this.fs = rig.fs;
    this.#rig = rig;
    this.store = new StoreAndForward({
      journal: rig.journal,
      records: sink,
      ledger: this.ledger,
      types: { deadLetterTopic: () => 't.dlq', pattern: () => 'fleet/{device}' },
      replay: { rate: Number.POSITIVE_INFINITY, share: 1 },
      spill: { afterMs: 100, bufferShare: 0.5 },
      clock,
      logger: silentLogger,
      ...options,
    });
    this.store.start();
  }

  static async open(
    given: {
      readonly fs?: MemoryFs;
      readonly sink?: GatedSink;
      readonly clock?: Clock;
      readonly settings?: Partial<JournalSettings>;
      readonly options?: Partial<StoreOptions>;
      readonly policyOf?: JournalOptions['policyOf'];
    } = {},
  ): Promise<StoreRig> {
    const { fs, sink = new GatedSink(), clock = systemClock, settings, options = {}, policyOf } = given;
    const onDropped = (account: string, records: number): void => {
      rig.store.dropped(account, records);
    };
    const ledger = new Ledger();
    const note = (): string => ledgerNote(ledger, rig.epoch, rig.#isClosing);
    const journal = await openRig(fs, settings, {
      onDropped,
      note,
      onLost: () => {
        loseUnread(ledger, 1);
      },
      ...(policyOf !== undefined && { policyOf }),
    });
    const rig = new StoreRig(journal, sink, ledger, clock, options);
    return rig;
  }

  get journal(): Journal {
    return this.#rig.journal;
  }

  get disk(): Rig['disk'] {
    return this.#rig.disk;
  }

  complete(token: number, outcome: Outcome): void {
    if (this.outcomes.has(token)) throw new Error(`${token} completed twice`);
    this.outcomes.set(token, outcome);
  }

  resume(): void {}

  /** Device `key` sends message `number`; false: it has to wait. */
  send(number: number, key: string | null, topic = 't', kafkaFirst = false, type = 'meter'): boolean {
    if (this.waits) return false;
    const refusal = this.store.append(
      {
        topic,
        key: key === null ? null : Buffer.from(key),
        value: Buffer.from(`${key ?? ''}#${number}`),
        timestampMs: 1_700_000_000_000,
        headers: NO_HEADERS,
      },
      publicationOf(key ?? 'nobody'),
      this.ledger.account(type),
      topic.endsWith('.dlq') ? SlotKind.DeadLetter : SlotKind.Record,
      CONTRACTS[kafkaFirst ? 'kafka-or-journal' : 'journal'],
      this,
      number,
    );
    if (refusal instanceof SluiceError) throw refusal;
    this.waits = refusal !== undefined;
    refusal?.wait(() => (this.waits = false));
    return refusal === undefined;
  }

  /** Acknowledges in Kafka until nothing is left on the disk. */
  async drain(): Promise<void> {
    await until(
      () => {
        this.sink.acknowledge();
        return this.journal.backlog.openRecords + this.journal.backlog.pendingRecords === 0;
      },
      { what: 'an empty journal' },
    );
  }

  /** What kill -9 leaves on the disk at this moment. */
  async crash(): Promise<MemoryFs> {
    const left = this.fs.clone();
    await this.close();
    return left;
  }

  #isClosing = false;

  async close(): Promise<void> {
    this.#isClosing = true;
    this.store.stop();
    await this.journal.close();
  }

  get balanced(): boolean {
    return this.ledger.figures().every(balances);
  }
}

function publicationOf(clientId: string): Publication {
  return {
    topic: { name: `fleet/${clientId}`, id: 1 },
    payload: Buffer.alloc(0),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 7,
    clientId,
    receivedAtMs: 1_700_000_000_000,
  };
}

function copy(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : Buffer.from(bytes);
}
