import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CONTRACTS } from '../../src/core/contract.ts';
import { Outcome } from '../../src/core/publication.ts';
import { NO_HEADERS } from '../../src/core/record.ts';
import type { Route } from '../../src/core/route.ts';
import { newDelivery } from '../delivery/delivery-rig.ts';
import { readTopic, startProducer } from '../support/producer.ts';
import { RecordLoad } from '../support/record-load.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { until } from '../support/until.ts';

const kafka = sharedKafka();

describe('a topic that gets more partitions in mid-stream', () => {
  it('keeps the order of each key: it goes to its new partition after what was sent before', async () => {
    // The broker's clock tells which of two partitions' records came first.
    const config = { 'message.timestamp.type': 'LogAppendTime' };
    await kafka.tools.createTopic('topics-growing', { partitions: 3, config });
    const producer = startProducer(kafka.bootstrapServers, {
      'metadata.max.age.ms': 100,
      'linger.ms': 5,
      'batch.size': 1_024,
    });
    const load = new RecordLoad(producer, 'topics-growing', 50);
    const grow = kafka.tools.topicCommand('--alter', '--topic', 'topics-growing', '--partitions', '8');
    // The producer hears of it when its metadata is old enough, and when the broker knows.
    while (producer.partitionCount('topics-growing') < 8) {
      await load.run(load.appended + 50);
      await delay(2);
    }
    await load.run(load.appended + 8_000);
    await grow;
    expect(await producer.close(30_000)).toEqual([]);

    const records = await readTopic(kafka.bootstrapServers, 'topics-growing');
    expect(new Set(records.map(({ partition }) => partition)).size).toBeGreaterThan(3);
    records.sort(
      (a, b) =>
        a.timestampMs - b.timestampMs || Number(a.value!.split(' ')[0]) - Number(b.value!.split(' ')[0]),
    );
    expect(load.judge(records)).toEqual([]);
  });
});

describe('a topic that is deleted and created anew, with fewer partitions, under a running producer', () => {
  it('has everything that was acknowledged after that, and what can not be delivered any more fails by name', async () => {
    await kafka.tools.createTopic('topics-reborn', { partitions: 4 });
    const producer = startProducer(kafka.bootstrapServers, {
      'metadata.max.age.ms': 200,
      'delivery.timeout.ms': Infinity,
      'linger.ms': 5,
    });
    const acknowledged: string[] = [];
    const failures = new Set<string>();
    let completed = 0;
    let appended = 0;
    /** False: the producer says that there is something wrong with the topic. */
    const send = async (value: string): Promise<boolean> => {
      const record = {
        topic: 'topics-reborn',
        key: Buffer.from(`key-${appended % 20}`),
        value: Buffer.from(value),
        timestampMs: Date.now(),
        headers: NO_HEADERS,
      };
      const target = {
        recordCompleted: (_token: number, { error }: { error: { code: string } | undefined }) => {
          completed++;
          if (error === undefined) acknowledged.push(value);
          else failures.add(error.code);
        },
      };
      const result = { taken: false };
      await until(
        () => {
          result.taken = producer.tryAppend(record, target, 0) === undefined;
          return result.taken || producer.topicFaults().size > 0;
        },
        { everyMs: 2, what: 'room' },
      );
      if (result.taken) appended++;
      return result.taken;
    };
    for (let i = 0; i < 200; i++) await send(`before ${i}`);
    await producer.flush();
    await kafka.tools.topicCommand('--delete', '--topic', 'topics-reborn');
    // Until the producer knows, it takes records.
    for (let i = 0; await send(`between ${i}`); i++) await delay(1);
    await kafka.tools.createTopic('topics-reborn', { partitions: 2 });
    await until(() => producer.topicFaults().size === 0, { what: 'the new topic to be known' });
    for (let i = 0; i < 500; i++) expect(await send(`after ${i}`)).toBe(true);
    expect(await producer.close(30_000)).toEqual([]);
    expect(completed).toBe(appended);

    const values = (await readTopic(kafka.bootstrapServers, 'topics-reborn')).map(({ value }) => value!);
    const isAfter = (value: string) => value.startsWith('after');
    expect(new Set(values).size).toBe(values.length);
    expect(values.filter(isAfter).sort()).toEqual(acknowledged.filter(isAfter).sort());
    expect(acknowledged.filter(isAfter)).toHaveLength(500);
    expect([...failures].filter((code) => code !== 'PARTITION_GONE')).toEqual([]);
  });
});

describe("a record that is larger than its topic's max.message.bytes", () => {
  it('becomes a dead letter, its device is acknowledged once that is durable, and records around it are delivered', async () => {
    await kafka.tools.createTopic('topics-small', { config: { 'max.message.bytes': '2000' } });
    await kafka.tools.createTopic('topics-small.dlq');
    const producer = startProducer(kafka.bootstrapServers, {
      'linger.ms': 20,
      'delivery.timeout.ms': Infinity,
    });
    const route: Route = {
      profile: 'sensor',
      contract: CONTRACTS.kafka,
      topic: 'topics-small',
      deadLetterTopic: 'topics-small.dlq',
      toRecord(message, record) {
        record.topic = 'topics-small';
        record.key = Buffer.from('d1');
        record.value = message.payload;
        record.timestampMs = message.receivedAtMs;
        record.headers = NO_HEADERS;
        return undefined;
      },
      taken() {},
      whenReady() {},
    };
    const delivery = newDelivery({ resolve: () => [route], records: producer });
    const outcomes = new Map<number, Outcome>();
    const origin = {
      complete: (token: number, outcome: Outcome) => outcomes.set(token, outcome),
      resume() {},
    };
    const payloads = ['first', 'x'.repeat(5_000), 'last'];
    for (const [token, payload] of payloads.entries()) {
      const publication = {
        topic: { name: 'fleet/d1', id: 1 },
        payload: Buffer.from(payload),
        qos: 1 as const,
        retain: false,
        dup: false,
        packetId: token + 1,
        clientId: 'd1',
        receivedAtMs: Date.now(),
      };
      await until(() => delivery.accept(publication, origin, token), { everyMs: 2, what: 'room' });
    }
    await until(() => outcomes.size === 3, { what: 'all outcomes' });
    expect([outcomes.get(0), outcomes.get(1), outcomes.get(2)]).toEqual([
      Outcome.Delivered,
      Outcome.DeadLettered,
      Outcome.Delivered,
    ]);
    expect(await producer.close(10_000)).toEqual([]);
    const delivered = await readTopic(kafka.bootstrapServers, 'topics-small');
    expect(delivered.map(({ value }) => value)).toEqual(['first', 'last']);
    const [letter] = await readTopic(kafka.bootstrapServers, 'topics-small.dlq');
    expect(letter).toMatchObject({ key: 'd1', value: payloads[1] });
    expect(letter!.headers['error.code']).toEqual(Buffer.from('RECORD_TOO_LARGE'));
    expect(letter!.headers['dead.letter.holds']).toEqual(Buffer.from('record'));
  });
});
