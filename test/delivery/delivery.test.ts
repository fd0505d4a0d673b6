import { describe, expect, it } from 'vitest';
import { CONTRACTS } from '../../src/core/contract.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { Outcome } from '../../src/core/publication.ts';
import type { Publication, PublicationOrigin, Topic } from '../../src/core/publication.ts';
import { NO_HEADERS, decodeHeaders, type SerializedRecord } from '../../src/core/record.ts';
import { FILTERED, NOT_READY, REFUSED, type Route } from '../../src/core/route.ts';
import { UNROUTED_ACCOUNT } from '../../src/delivery/delivery.ts';
import { acknowledgedButLost, balances } from '../../src/delivery/ledger/ledger.ts';
import type { Bottleneck, RecordResult, RecordSink, RecordTarget } from '../../src/delivery/ports.ts';
import { newDelivery } from './delivery-rig.ts';

const fleetTopic: Topic = { name: 'fleet/north/d1/telemetry', id: 1 };
const strangeTopic: Topic = { name: 'somewhere/else', id: 2 };

/** Takes what it is given until told otherwise, and completes on demand. */
class ControlledSink implements RecordSink {
  readonly appended: { record: SerializedRecord; target: RecordTarget; token: number }[] = [];
  next: Bottleneck | SluiceError | undefined;

  tryAppend(record: SerializedRecord, target: RecordTarget, token: number) {
    if (this.next !== undefined) return this.next;
    const value = record.value === null ? null : Buffer.from(record.value);
    this.appended.push({ record: { ...record, value }, target, token });
    return undefined;
  }

  completeAll({ error }: Pick<RecordResult, 'error'> = { error: undefined }) {
    const appended = this.appended.splice(0);
    for (const [index, { record, target, token }] of appended.entries()) {
      const result = { error, topic: record.topic, record: (i: number) => appended[i]!.record };
      target.recordCompleted(token, result, index);
    }
  }
}

class RecordingOrigin implements PublicationOrigin {
  readonly outcomes = new Map<number, Outcome>();
  resumed = 0;
  complete(token: number, outcome: Outcome) {
    expect(this.outcomes.has(token)).toBe(false);
    this.outcomes.set(token, outcome);
  }
  resume() {
    this.resumed++;
  }
}

function publication(topic: Topic, payload: string): Publication {
  return {
    topic,
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 7,
    clientId: 'd1',
    receivedAtMs: 1_700_000_000_000,
  };
}

/** Passes payloads through; `bad` can't be decoded. */
function rawRoute(contract: Route['contract']): Route {
  return {
    profile: 'sensor',
    pattern: 'fleet/{site}/{device}/telemetry',
    contract,
    topic: 'telemetry',
    deadLetterTopic: 'telemetry.dlq',
    toRecord(message, record) {
      if (message.payload.toString() === 'bad') return { code: 'DECODE_FAILED', message: 'not a reading' };
      record.topic = 'telemetry';
      record.key = Buffer.from('d1');
      record.value = message.payload;
      record.timestampMs = message.receivedAtMs;
      record.headers = NO_HEADERS;
      return undefined;
    },
    taken() {},
    whenReady() {},
  };
}

function setUp(overrides: Partial<Parameters<typeof newDelivery>[0]> = {}, contract = CONTRACTS.kafka) {
  const sink = new ControlledSink();
  const origin = new RecordingOrigin();
  const route = rawRoute(contract);
  const delivery = newDelivery({
    resolve: (topic) => (topic === fleetTopic ? [route] : []),
    records: sink,
    ...overrides,
  });
  return { delivery, sink, origin };
}

describe('contract kafka', () => {
  it('completes a publication only after its record is acknowledged', () => {
    const { delivery, sink, origin } = setUp();
    expect(delivery.accept(publication(fleetTopic, 'x'), origin, 3)).toBe(true);
    expect(origin.outcomes.size).toBe(0);
    expect(delivery.ledger.total()).toMatchObject({ opened: 1, open: 1, produced: 0, acknowledged: 0 });

    sink.completeAll();
    expect([...origin.outcomes]).toEqual([[3, Outcome.Delivered]]);
    expect(delivery.ledger.total()).toMatchObject({ opened: 1, open: 0, produced: 1, acknowledged: 1 });
  });

  it('keeps nothing of a publication that finds no room, and resumes its origin later', () => {
    const { delivery, sink, origin } = setUp();
    const waiting: (() => void)[] = [];
    sink.next = { wait: (callback) => waiting.push(callback) };
    expect(delivery.accept(publication(fleetTopic, 'x'), origin, 1)).toBe(false);
    expect(delivery.ledger.total()).toMatchObject({ opened: 0, open: 0 });
    expect(origin.resumed).toBe(0);

    waiting[0]!();
    expect(origin.resumed).toBe(1);
    sink.next = undefined;
    expect(delivery.accept(publication(fleetTopic, 'x'), origin, 1)).toBe(true);
    sink.completeAll();
    expect(origin.outcomes.get(1)).toBe(Outcome.Delivered);
  });

  it('refuses, and does not acknowledge, what the producer failed to deliver', () => {
    const { delivery, sink, origin } = setUp();
    delivery.accept(publication(fleetTopic, 'x'), origin, 1);
    sink.completeAll({ error: new SluiceError('INVALID_RECORD', 'no') });
    expect(origin.outcomes.get(1)).toBe(Outcome.Refused);
    const total = delivery.ledger.total();
    expect(total).toMatchObject({ opened: 1, refused: 1, acknowledged: 0 });
    expect(balances(total)).toBe(true);
  });
});

describe('dead letters', () => {
  it('hold the original bytes and the reason, and the device is acknowledged once they are durable', () => {
    const { delivery, sink, origin } = setUp();
    delivery.accept(publication(fleetTopic, 'bad'), origin, 5);
    const { record } = sink.appended[0]!;
    expect(record.topic).toBe('telemetry.dlq');
    expect(Buffer.from(record.value!).toString()).toBe('bad');
    expect(
      decodeHeaders(record.headers).map(({ key, value }) => `${key}: ${Buffer.from(value!).toString()}`),
    ).toEqual([
      'error.code: DECODE_FAILED',
      'error.message: not a reading',
      `mqtt.topic: ${fleetTopic.name}`,
      'mqtt.client.id: d1',
      'mqtt.qos: 1',
      'mqtt.retain: false',
      'received.at: 1700000000000',
      'attempt: 1',
      'device.type: sensor',
      'route: fleet/{site}/{device}/telemetry',
    ]);
    expect(origin.outcomes.size).toBe(0);
    sink.completeAll();
    expect(origin.outcomes.get(5)).toBe(Outcome.DeadLettered);
    expect(delivery.ledger.total()).toMatchObject({ opened: 1, deadLettered: 1, produced: 0, open: 0 });
  });

  it('take a record that is too large for the producer', () => {
    const { delivery, sink, origin } = setUp();
    const take = sink.tryAppend.bind(sink);
    let calls = 0;
    sink.tryAppend = (record, target, token) =>
      calls++ === 0 ? new SluiceError('RECORD_TOO_LARGE', 'too large') : take(record, target, token);
    expect(delivery.accept(publication(fleetTopic, 'huge'), origin, 1)).toBe(true);
    expect(sink.appended[0]!.record.topic).toBe('telemetry.dlq');
    sink.completeAll();
    expect(origin.outcomes.get(1)).toBe(Outcome.DeadLettered);
  });

  it('that cannot be sent at all refuse the publication', () => {
    const { delivery, sink, origin } = setUp();
    sink.next = new SluiceError('RECORD_TOO_LARGE', 'too large');
    expect(delivery.accept(publication(fleetTopic, 'bad'), origin, 1)).toBe(true);
    expect(origin.outcomes.get(1)).toBe(Outcome.Refused);
    expect(balances(delivery.ledger.total())).toBe(true);
  });
});

describe("a route's own rules", () => {
  function ruled(verdict: ReturnType<Route['toRecord']>) {
    let taken = 0;
    const waiting: (() => void)[] = [];
    const route: Route = {
      ...rawRoute(CONTRACTS.kafka),
      toRecord: (message, record) => verdict ?? rawRoute(CONTRACTS.kafka).toRecord(message, record),
      taken: () => taken++,
      whenReady: (callback) => waiting.push(callback),
    };
    return { ...setUp({ resolve: () => [route] }), taken: () => taken, waiting };
  }

  it('filter a publication: it is acknowledged at once, and counted as filtered', () => {
    const { delivery, sink, origin, taken } = ruled(FILTERED);
    expect(delivery.accept(publication(fleetTopic, 'x'), origin, 1)).toBe(true);
    expect(origin.outcomes.get(1)).toBe(Outcome.Filtered);
    expect(sink.appended).toEqual([]);
    expect(taken()).toBe(1);
    const total = delivery.ledger.total();
    expect(total).toMatchObject({ opened: 1, filtered: 1, produced: 0, acknowledged: 1, open: 0 });
    expect(balances(total)).toBe(true);
    expect(acknowledgedButLost(total)).toBe(0);
  });

  it('refuse a publication', () => {
    const { delivery, origin } = ruled(REFUSED);
    expect(delivery.accept(publication(fleetTopic, 'x'), origin, 1)).toBe(true);
    expect(origin.outcomes.get(1)).toBe(Outcome.Refused);
    expect(balances(delivery.ledger.total())).toBe(true);
  });

  it('that need what is not there yet park the publication', () => {
    const { delivery, origin, taken, waiting } = ruled(NOT_READY);
    expect(delivery.accept(publication(fleetTopic, 'x'), origin, 1)).toBe(false);
    expect(taken()).toBe(0);
    expect(delivery.ledger.total().opened).toBe(0);
    for (const callback of waiting) callback();
    expect(origin.resumed).toBe(1);
  });

  it.each(['good', 'bad'])('hear once of a %s message that found no room at first', (payload) => {
    const { delivery, sink, origin, taken } = ruled(undefined);
    sink.next = { wait() {} };
    expect(delivery.accept(publication(fleetTopic, payload), origin, 1)).toBe(false);
    expect(taken()).toBe(0);
    sink.next = undefined;
    expect(delivery.accept(publication(fleetTopic, payload), origin, 1)).toBe(true);
    expect(taken()).toBe(1);
  });
});

describe('a topic that no profile matches', () => {
  it('is acknowledged at once with unrouted: local', () => {
    const { delivery, sink, origin } = setUp();
    expect(delivery.accept(publication(strangeTopic, 'x'), origin, 1)).toBe(true);
    expect(origin.outcomes.get(1)).toBe(Outcome.Local);
    expect(sink.appended).toEqual([]);
    const counted = delivery.metrics().find(({ name }) => name === 'sluice_unrouted_publications_total')!;
    expect(counted.read()).toEqual([{ labels: { topic: strangeTopic.name }, value: 1 }]);
  });

  it('goes to the unrouted topic with unrouted: dead-letter', () => {
    const { delivery, sink, origin } = setUp({
      unrouted: { policy: 'dead-letter', deadLetterTopic: 'unrouted.dlq' },
    });
    delivery.accept(publication(strangeTopic, 'x'), origin, 1);
    expect(sink.appended[0]!.record.topic).toBe('unrouted.dlq');
    sink.completeAll();
    expect(origin.outcomes.get(1)).toBe(Outcome.DeadLettered);
    expect(delivery.ledger.account(UNROUTED_ACCOUNT).figures.deadLettered).toBe(1);
  });

  it('is refused with unrouted: refuse', () => {
    const { delivery, origin } = setUp({ unrouted: { policy: 'refuse', deadLetterTopic: 'unrouted.dlq' } });
    delivery.accept(publication(strangeTopic, 'x'), origin, 1);
    expect(origin.outcomes.get(1)).toBe(Outcome.Refused);
  });
});

describe('contract receive', () => {
  it('acknowledges at once, and counts what then fails as lost by contract, never as lost', () => {
    const { delivery, sink, origin } = setUp({}, CONTRACTS.receive);
    delivery.accept(publication(fleetTopic, 'x'), origin, 1);
    expect(origin.outcomes.get(1)).toBe(Outcome.Delivered);
    sink.completeAll({ error: new SluiceError('TIMED_OUT', 'no') });
    const total = delivery.ledger.total();
    expect(total).toMatchObject({ acknowledged: 1, lostByContract: 1, refused: 0 });
    expect(acknowledgedButLost(total)).toBe(0);
    expect(balances(total)).toBe(true);
  });
});
