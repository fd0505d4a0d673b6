import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuditedSink } from '../../src/features/audit/audit-trail.ts';
import { CONTRACTS } from '../../src/core/contract.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { Outcome } from '../../src/core/publication.ts';
import type { Publication, PublicationOrigin } from '../../src/core/publication.ts';
import { decodeHeaders, NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import { FILTERED, REFUSED, type DecodeFault, type Route } from '../../src/core/route.ts';
import type { Delivery } from '../../src/delivery/delivery.ts';
import { acknowledgedButLost, balances } from '../../src/delivery/ledger/ledger.ts';
import type { RecordError, RecordSink, RecordTarget } from '../../src/delivery/ports.ts';
import { newDelivery } from './delivery-rig.ts';

const topic = { name: 'fleet/d1', id: 1 };

function end(target: RecordTarget, token: number, error?: RecordError) {
  const record = () => ({ key: null, value: null, timestampMs: 0, headers: NO_HEADERS });
  target.recordCompleted(token, { error, topic: 'a', record }, 0);
}

/** Has room for `room` records more. */
class NarrowSink implements RecordSink {
  room = Number.POSITIVE_INFINITY;
  readonly taken: string[] = [];
  readonly headers: string[][] = [];
  readonly inFlight: { target: RecordTarget; token: number; text: string }[] = [];
  readonly #waiting: (() => void)[] = [];

  tryAppend(record: SerializedRecord, target: RecordTarget, token: number) {
    if (this.room === 0) return { wait: (callback: () => void) => this.#waiting.push(callback) };
    this.room--;
    const text = `${record.topic}:${Buffer.from(record.value!).toString()}`;
    this.taken.push(text);
    this.headers.push(
      decodeHeaders(record.headers).map(({ key, value }) => `${key}: ${Buffer.from(value!).toString()}`),
    );
    this.inFlight.push({ target, token, text });
    return undefined;
  }

  makeRoom(records: number) {
    this.room = records;
    for (const callback of this.#waiting.splice(0)) callback();
  }

  complete(count = this.inFlight.length, error?: RecordError) {
    for (const { target, token } of this.inFlight.splice(0, count)) end(target, token, error);
  }
}

/** Parks what is refused, and offers it again, in order, when it is told to: as a connection does. */
class Connection implements PublicationOrigin {
  readonly outcomes: [packetId: number, outcome: Outcome][] = [];
  readonly #delivery: Delivery;
  readonly #parked: Publication[] = [];
  #token = 100;
  readonly #tokens = new Map<number, number>();

  constructor(delivery: Delivery) {
    this.#delivery = delivery;
  }

  publish(packetId: number, payload: string) {
    this.#parked.push({
      topic,
      payload: Buffer.from(payload),
      qos: 1,
      retain: false,
      dup: false,
      packetId,
      clientId: 'd1',
      receivedAtMs: 1_700_000_000_000,
    });
    if (this.#parked.length === 1) this.resume();
  }

  resume() {
    for (let next = this.#parked[0]; next !== undefined; next = this.#parked[0]) {
      // Every offer has a token of its own, whether or not it is taken.
      const token = this.#token++;
      this.#tokens.set(token, next.packetId);
      if (!this.#delivery.accept(next, this, token)) return;
      this.#parked.shift();
    }
  }

  complete(token: number, outcome: Outcome) {
    this.outcomes.push([this.#tokens.get(token)!, outcome]);
    this.#tokens.delete(token);
  }
}

/** A route whose payloads are readings with commas between them; `bad`, `dull` and `evil` are no records. */
function batchRoute(kafkaTopic: string, contract = CONTRACTS.kafka): Route & { heard: string[] } {
  let readings: string[] | undefined;
  let selected: string | undefined;
  const heard: string[] = [];
  const verdicts: Record<string, DecodeFault> = {
    bad: { code: 'DECODE_FAILED', message: 'bad' },
    whole: { code: 'DECODE_FAILED', message: 'not to be had alone' },
    dull: FILTERED,
    evil: REFUSED,
  };
  return {
    heard,
    profile: kafkaTopic,
    contract,
    topic: kafkaTopic,
    deadLetterTopic: `${kafkaTopic}.dlq`,
    toRecord(_, record) {
      record.topic = kafkaTopic;
      record.value = Buffer.from(selected!);
      record.key = null;
      record.headers = NO_HEADERS;
      const [, index] = /^whole (\d+)$/.exec(selected!) ?? [];
      if (index !== undefined) return { code: 'DECODE_FAILED', message: `${index} is bad` };
      return verdicts[selected!];
    },
    taken: () => heard.push(selected ?? 'all'),
    whenReady: (callback) => {
      callback();
    },
    batch: {
      open({ payload }) {
        const text = payload.toString();
        if (text === 'garbage') return { code: 'DECODE_FAILED', message: 'garbage' };
        expect(readings).toBeUndefined();
        readings = text === '' ? [] : text.split(',');
        return readings.length;
      },
      select(index) {
        selected = readings![index];
      },
      get selected() {
        return selected === undefined ? undefined : readings!.indexOf(selected);
      },
      alone: () =>
        selected === undefined || selected.startsWith('whole') ? undefined : Buffer.from(selected),
      close() {
        readings = undefined;
        selected = undefined;
      },
    },
  };
}

function setUp(...routes: Route[]) {
  return setUpWith(() => routes);
}

function setUpWith(resolve: () => Route[], inFront = (sink: NarrowSink): RecordSink => sink) {
  const sink = new NarrowSink();
  const delivery = newDelivery({ resolve, records: inFront(sink) });
  return { sink, delivery, connection: new Connection(delivery) };
}

describe('a publication that becomes several records', () => {
  it('is acknowledged once, when Kafka has the last of them', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a'), batchRoute('b'));
    connection.publish(7, '1,2');
    expect(sink.taken).toEqual(['a:1', 'a:2', 'b:1', 'b:2']);
    sink.complete(3);
    expect(connection.outcomes).toEqual([]);
    expect(delivery.ledger.total()).toMatchObject({ opened: 4, produced: 3, open: 1, acknowledged: 0 });
    sink.complete();
    expect(connection.outcomes).toEqual([[7, Outcome.Delivered]]);
    expect(delivery.ledger.total()).toMatchObject({ opened: 4, produced: 4, open: 0, acknowledged: 4 });
  });

  it('goes on where it stopped for want of room: nothing lost, nothing twice, nothing out of order', () => {
    const route = batchRoute('a');
    const { sink, connection } = setUp(route, batchRoute('b'));
    sink.room = 3;
    connection.publish(1, '1,2');
    connection.publish(2, '3');
    expect(sink.taken).toEqual(['a:1', 'a:2', 'b:1']);
    sink.complete();
    expect(connection.outcomes).toEqual([]);
    sink.makeRoom(2);
    expect(sink.taken.slice(3)).toEqual(['b:2', 'a:3']);
    sink.makeRoom(9);
    expect(sink.taken.slice(5)).toEqual(['b:3']);
    sink.complete();
    expect(connection.outcomes).toEqual([
      [1, Outcome.Delivered],
      [2, Outcome.Delivered],
    ]);
    // What the route remembers of the device moves on once a reading, however often it was tried.
    expect(route.heard).toEqual(['1', '2', '3']);
  });

  it('that was halfway through when the routes changed begins anew with the new ones, and is acknowledged once', () => {
    let routes = [batchRoute('a'), batchRoute('b')];
    const { sink, delivery, connection } = setUpWith(() => routes);
    sink.room = 3;
    connection.publish(1, '1,2');
    routes = [batchRoute('c')];
    delivery.routesChanged();
    sink.makeRoom(9);
    sink.complete();
    expect(sink.taken).toEqual(['a:1', 'a:2', 'b:1', 'c:1', 'c:2']);
    expect(connection.outcomes).toEqual([[1, Outcome.Delivered]]);
    const total = delivery.ledger.total();
    expect(balances(total)).toBe(true);
    expect([total.produced, total.acknowledged, acknowledgedButLost(total)]).toEqual([5, 2, 0]);
  });

  it('leaves nothing behind when its connection goes away while it waits for room', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a'));
    sink.room = 1;
    connection.publish(1, '1,2');
    sink.complete();
    sink.room = Number.POSITIVE_INFINITY;
    // The device is back, and sends it again: repeats may follow, but all of it is there, in order.
    const again = new Connection(delivery);
    again.publish(1, '1,2');
    sink.complete();
    expect(sink.taken).toEqual(['a:1', 'a:1', 'a:2']);
    expect(connection.outcomes).toEqual([]);
    expect(again.outcomes).toEqual([[1, Outcome.Delivered]]);
    expect(acknowledgedButLost(delivery.ledger.total())).toBe(0);
  });

  it('has a dead letter for each reading that is not understood, with that reading alone', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a'));
    connection.publish(1, '1,bad,2');
    expect(sink.taken).toEqual(['a:1', 'a.dlq:bad', 'a:2']);
    sink.complete();
    expect(connection.outcomes).toEqual([[1, Outcome.DeadLettered]]);
    expect(delivery.ledger.total()).toMatchObject({ produced: 2, deadLettered: 1, acknowledged: 3 });
  });

  it('has in its dead letter the whole payload and which reading is meant, if none can stand alone', () => {
    const { sink, connection } = setUp(batchRoute('a'));
    connection.publish(1, '1,whole');
    expect(sink.taken).toEqual(['a:1', 'a.dlq:1,whole']);
    expect(sink.headers.at(-1)).toContain('reading: 1');
  });

  it('has one dead letter for all readings that can not stand alone, with the payload once, and each reason', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a'));
    connection.publish(1, 'whole 0,1,whole 2,whole 3,2,whole 5');
    expect(sink.taken).toEqual(['a:1', 'a:2', 'a.dlq:whole 0,1,whole 2,whole 3,2,whole 5']);
    expect(sink.headers.at(-1)).toContain('reading: 0,2-3,5');
    expect(sink.headers.at(-1)).toContain(
      'error.message: 0 is bad (reading 0); 2 is bad (reading 2); 3 is bad (reading 3); 5 is bad (reading 5)',
    );
    sink.complete();
    expect(connection.outcomes).toEqual([[1, Outcome.DeadLettered]]);
    expect(delivery.ledger.total()).toMatchObject({
      opened: 3,
      produced: 2,
      deadLettered: 1,
      acknowledged: 3,
    });
  });

  it('takes no more in dead letters than a few times its own size, however many of its readings are bad', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a'));
    const payload = Array.from({ length: 5_000 }, (_, i) => (i % 2 === 0 ? `whole ${i}` : 'dull')).join(',');
    connection.publish(1, payload);
    expect(sink.taken).toHaveLength(3);
    const named = sink.headers.flatMap((headers) => headers.filter((each) => each.startsWith('reading: ')));
    const readings = named.flatMap((each) => each.slice('reading: '.length).split(',').map(Number));
    expect(readings).toEqual(Array.from({ length: 2_500 }, (_, i) => 2 * i));
    sink.complete();
    expect(connection.outcomes).toEqual([[1, Outcome.DeadLettered]]);
    expect(balances(delivery.ledger.total())).toBe(true);
  });

  it('appends the dead letter that readings share when there is room for it, and not twice', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a'), batchRoute('b'));
    sink.room = 1;
    connection.publish(1, 'whole 0,1');
    expect(sink.taken).toEqual(['a:1']);
    sink.makeRoom(1);
    expect(sink.taken).toEqual(['a:1', 'a.dlq:whole 0,1']);
    sink.makeRoom(10);
    expect(sink.taken).toEqual(['a:1', 'a.dlq:whole 0,1', 'b:1', 'b.dlq:whole 0,1']);
    expect(connection.outcomes).toEqual([]);
    sink.complete();
    expect(connection.outcomes).toEqual([[1, Outcome.DeadLettered]]);
    expect(delivery.ledger.total()).toMatchObject({
      opened: 4,
      produced: 2,
      deadLettered: 2,
      acknowledged: 4,
    });
  });

  it('is one dead letter if it can not be taken apart', () => {
    const { sink, connection } = setUp(batchRoute('a'), batchRoute('b'));
    connection.publish(1, 'garbage');
    expect(sink.taken).toEqual(['a.dlq:garbage', 'b.dlq:garbage']);
    sink.complete();
    expect(connection.outcomes).toEqual([[1, Outcome.DeadLettered]]);
  });

  it('is acknowledged at once if it holds no reading, or only such that are filtered', () => {
    const { delivery, connection } = setUp(batchRoute('a'));
    connection.publish(1, '');
    connection.publish(2, 'dull,dull');
    expect(connection.outcomes).toEqual([
      [1, Outcome.Filtered],
      [2, Outcome.Filtered],
    ]);
    expect(delivery.ledger.total()).toMatchObject({ opened: 2, filtered: 2, acknowledged: 2 });
  });

  it('is refused as a whole if one of its records is, and then none counts as acknowledged', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a'));
    connection.publish(1, '1,evil');
    connection.publish(2, '1,2');
    sink.complete(1);
    sink.complete(1, new SluiceError('INVALID_RECORD', 'no'));
    sink.complete();
    expect(connection.outcomes).toEqual([
      [1, Outcome.Refused],
      [2, Outcome.Refused],
    ]);
    const total = delivery.ledger.total();
    expect(total).toMatchObject({ opened: 4, produced: 2, refused: 2, acknowledged: 0 });
    expect(balances(total)).toBe(true);
  });

  it('of which Kafka refuses one record has an entry in the audit log for each that Kafka has, and no PUBACK', () => {
    const noted: number[] = [];
    const { sink, delivery, connection } = setUpWith(
      () => [batchRoute('a')],
      (producer) => new AuditedSink(producer, () => noted.push(sink.taken.length - sink.inFlight.length)),
    );
    connection.publish(1, '1,2,3');
    sink.complete(1);
    sink.complete(1, new SluiceError('INVALID_RECORD', 'no'));
    expect(connection.outcomes).toEqual([]);
    sink.complete(1);
    // The first and the third: what is compared is whether Kafka still has what it said it had.
    expect(noted).toEqual([1, 3]);
    expect(connection.outcomes).toEqual([[1, Outcome.Refused]]);
    expect(delivery.ledger.total()).toMatchObject({ produced: 2, refused: 1, acknowledged: 0 });
  });

  it('waits for those routes that promise Kafka, not for those that promise receipt', () => {
    const { sink, delivery, connection } = setUp(batchRoute('a', CONTRACTS.receive), batchRoute('b'));
    connection.publish(1, '1');
    const [received, kept] = sink.inFlight.splice(0);
    end(kept!.target, kept!.token);
    expect(connection.outcomes).toEqual([[1, Outcome.Delivered]]);
    end(received!.target, received!.token, new SluiceError('TIMED_OUT', 'no'));
    expect(delivery.ledger.total()).toMatchObject({ acknowledged: 2, produced: 1, lostByContract: 1 });
  });
});

it('in any order of rooms and completions every record is sent once, in order, and every device told once', () => {
  const reading = fc.constantFrom('1', '2', 'bad', 'dull');
  const payload = fc.array(reading, { maxLength: 5 }).map((readings) => readings.join(','));
  const step = fc.oneof(
    fc.record({ room: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ complete: fc.integer({ min: 1, max: 3 }) }),
  );
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 6 }), fc.array(step), (payloads, steps) => {
      const { sink, delivery, connection } = setUp(batchRoute('a'), batchRoute('b'));
      sink.room = 0;
      payloads.forEach((text, index) => {
        connection.publish(index + 1, text);
      });
      for (const action of steps) {
        if ('room' in action) sink.makeRoom(action.room);
        else sink.complete(action.complete);
      }
      sink.makeRoom(Number.POSITIVE_INFINITY);
      sink.complete();
      const expected = payloads.flatMap((text) =>
        ['a', 'b'].flatMap((route) =>
          text
            .split(',')
            .filter((part) => part !== '' && part !== 'dull')
            .map((part) => (part === 'bad' ? `${route}.dlq:bad` : `${route}:${part}`)),
        ),
      );
      expect(sink.taken).toEqual(expected);
      expect(connection.outcomes.map(([packetId]) => packetId).sort()).toEqual(
        payloads.map((_, index) => index + 1),
      );
      const total = delivery.ledger.total();
      expect(balances(total)).toBe(true);
      expect(total).toMatchObject({ open: 0, acknowledged: total.opened });
    }),
    { numRuns: 300 },
  );
});
