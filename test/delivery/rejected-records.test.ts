import { describe, expect, it } from 'vitest';
import { CONTRACTS } from '../../src/core/contract.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { SluiceError } from '../../src/core/errors.ts';
import { Outcome } from '../../src/core/publication.ts';
import { encodeHeaders, type SerializedRecord } from '../../src/core/record.ts';
import type { Route } from '../../src/core/route.ts';
import { balances } from '../../src/delivery/ledger/ledger.ts';
import type { Bottleneck, RecordSink, RecordTarget } from '../../src/delivery/ports.ts';
import { ProducerError } from '../../src/producer/errors.ts';
import { newDelivery } from './delivery-rig.ts';

const HEADERS = encodeHeaders([{ key: 'device.type', value: Buffer.from('sensor') }]);

const route: Route = {
  profile: 'sensor',
  contract: CONTRACTS.kafka,
  topic: 'telemetry',
  deadLetterTopic: 'telemetry.dlq',
  toRecord(message, record) {
    record.topic = 'telemetry';
    record.key = Buffer.from('d1');
    record.value = Buffer.concat([Buffer.from('normalised '), message.payload]);
    record.timestampMs = 123;
    record.headers = HEADERS;
    return undefined;
  },
  taken() {},
  whenReady() {},
};

interface Appended {
  readonly record: SerializedRecord;
  readonly target: RecordTarget;
  readonly token: number;
}

/** Remembers what it is given; a record's bytes go bad right after its completion, as a batch's buffer does. */
class Sink implements RecordSink {
  readonly appended: Appended[] = [];
  next: Bottleneck | SluiceError | undefined;

  tryAppend(
    { topic, key, value, timestampMs, headers }: SerializedRecord,
    target: RecordTarget,
    token: number,
  ) {
    if (this.next !== undefined) return this.next;
    const copy = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes));
    const record = { topic, key: copy(key), value: copy(value), timestampMs, headers: Buffer.from(headers) };
    this.appended.push({ record, target, token });
    return undefined;
  }

  complete(error?: SluiceError) {
    const { record, target, token } = this.appended.shift()!;
    target.recordCompleted(token, { error, topic: record.topic, record: () => record }, 0);
    record.key?.fill(0);
    record.value?.fill(0);
  }
}

const rejected = () => new ProducerError('RECORD_TOO_LARGE', 'too large', { isRecordFault: true });

function setUp() {
  const sink = new Sink();
  const outcomes: Outcome[] = [];
  const delivery = newDelivery({
    resolve: () => [route],
    records: sink,
    types: { deadLetterTopic: () => undefined, pattern: () => 'fleet/{site}/{device}/telemetry' },
    clock: { ...systemClock, wallMs: () => 999 },
  });
  const publication = {
    topic: { name: 'fleet/north/d1/telemetry', id: 1 },
    payload: Buffer.from('reading'),
    qos: 1 as const,
    retain: false,
    dup: false,
    packetId: 7,
    clientId: 'd1',
    receivedAtMs: 1_700_000_000_000,
  };
  const origin = { complete: (_token: number, outcome: Outcome) => outcomes.push(outcome), resume() {} };
  expect(delivery.accept(publication, origin, 1)).toBe(true);
  return { sink, outcomes, total: () => delivery.ledger.total() };
}

describe('a record that Kafka itself refuses', () => {
  it('becomes a dead letter with its own bytes and headers, the reason, whose it is, and a word that it is a record', () => {
    const { sink, outcomes, total } = setUp();
    sink.complete(rejected());
    expect(outcomes).toEqual([]);
    const { record } = sink.appended[0]!;
    expect(record).toMatchObject({ topic: 'telemetry.dlq', timestampMs: 999 });
    expect(record.key?.toString()).toBe('d1');
    expect(record.value?.toString()).toBe('normalised reading');
    expect(Buffer.from(record.headers)).toEqual(
      Buffer.from(
        encodeHeaders([
          { key: 'device.type', value: Buffer.from('sensor') },
          { key: 'error.code', value: Buffer.from('RECORD_TOO_LARGE') },
          { key: 'error.message', value: Buffer.from('too large') },
          { key: 'mqtt.topic', value: Buffer.from('fleet/north/d1/telemetry') },
          { key: 'mqtt.client.id', value: Buffer.from('d1') },
          { key: 'received.at', value: Buffer.from('1700000000000') },
          { key: 'attempt', value: Buffer.from('1') },
          { key: 'device.type', value: Buffer.from('sensor') },
          { key: 'route', value: Buffer.from('fleet/{site}/{device}/telemetry') },
          { key: 'dead.letter.holds', value: Buffer.from('record') },
          { key: 'record.topic', value: Buffer.from('telemetry') },
          { key: 'record.timestamp', value: Buffer.from('123') },
        ]),
      ),
    );
    sink.complete();
    expect(outcomes).toEqual([Outcome.DeadLettered]);
    expect(total()).toMatchObject({ opened: 1, deadLettered: 1, acknowledged: 1, open: 0, refused: 0 });
  });

  it('has a dead letter without a time if its time is what Kafka refuses: ours would be refused as well', () => {
    const { sink, outcomes } = setUp();
    sink.complete(new ProducerError('INVALID_TIMESTAMP', 'in the future', { isRecordFault: true }));
    expect(sink.appended[0]!.record).toMatchObject({ topic: 'telemetry.dlq', timestampMs: -1 });
    sink.complete();
    expect(outcomes).toEqual([Outcome.DeadLettered]);
  });

  it('waits for room among the dead letters, unharmed', () => {
    const { sink, outcomes, total } = setUp();
    let goOn = () => {};
    sink.next = { wait: (callback) => (goOn = callback) };
    sink.complete(rejected());
    expect(total()).toMatchObject({ open: 1 });
    sink.next = undefined;
    goOn();
    expect(sink.appended[0]!.record.value?.toString()).toBe('normalised reading');
    sink.complete();
    expect(outcomes).toEqual([Outcome.DeadLettered]);
  });

  it('is refused if its dead letter is refused too', () => {
    const { sink, outcomes, total } = setUp();
    sink.complete(rejected());
    sink.complete(rejected());
    expect(outcomes).toEqual([Outcome.Refused]);
    expect(balances(total())).toBe(true);
  });

  it('is refused at once if the fault is not its own: it may be sent again', () => {
    const { sink, outcomes } = setUp();
    sink.complete(new ProducerError('PARTITION_GONE', 'gone'));
    expect(outcomes).toEqual([Outcome.Refused]);
    expect(sink.appended).toEqual([]);
  });
});
