import { describe, expect, it } from 'vitest';
import { BrokerUnavailableError, RecordTooLargeError } from '../../src/producer/errors.ts';
import { NO_HEADERS } from '../../src/core/record.ts';
import { KafkaErrorCode } from '../../src/producer/cluster/kafka-errors.ts';
import { partitionForKey } from '../../src/producer/cluster/partitioner.ts';
import type { BatchResult } from '../../src/producer/batches/producer-batch.ts';
import { settled } from './scripted-port.ts';
import { SeededRandom } from '../support/seeds.ts';
import { ScriptedProducer } from './scripted-producer.ts';

const unavailable = () => new BrokerUnavailableError('no answer');

/** A partition whose first batch is acknowledged, so that several may be in flight. */
async function warmedUp(settings: Readonly<Record<string, unknown>> = {}): Promise<ScriptedProducer> {
  const scripted = await ScriptedProducer.withTopic([1], settings);
  scripted.try('warm');
  void scripted.producer.flush();
  await settled();
  await scripted.port.last().answer();
  scripted.results.length = 0;
  return scripted;
}

describe('batching', () => {
  it('the producer sends a batch when linger.ms is over, not before', async () => {
    const scripted = await ScriptedProducer.withTopic([1]);
    scripted.try('a');
    await scripted.pass(9);
    scripted.try('b');
    expect(scripted.port.requests).toHaveLength(0);
    await scripted.pass(1);
    expect(scripted.port.requests.map(({ values }) => values)).toEqual(['a b']);
  });

  it('the producer sends a full batch at once', async () => {
    const scripted = await ScriptedProducer.withTopic([1], { 'batch.size': 1_024 });
    for (let i = 0; i < 12; i++) scripted.try('x'.repeat(100));
    await settled();
    expect(scripted.port.requests).toHaveLength(1);
  });

  it('the producer puts all ready partitions of a broker into one request, and each broker gets its own', async () => {
    const scripted = await ScriptedProducer.withTopic([1, 1, 2, 2]);
    for (let i = 0; i < 40; i++) scripted.try(`v${i}`, 't', `key-${i}`);
    await scripted.pass(10);
    const byBroker = scripted.port.requests.map(({ brokerId, batches }) => [
      brokerId,
      batches.map(({ partition }) => partition).sort(),
    ]);
    expect(byBroker.sort()).toEqual([
      [1, [0, 1]],
      [2, [2, 3]],
    ]);
  });

  it('the producer does not linger while a flush is under way, and the flush ends with the last result', async () => {
    const scripted = await ScriptedProducer.withTopic([1], { 'linger.ms': 5_000 });
    scripted.try('a');
    let flushed = false;
    const flush = scripted.producer.flush().then(() => (flushed = true));
    await settled();
    expect(scripted.port.last().values).toBe('a');
    expect(flushed).toBe(false);
    await scripted.port.last().answer();
    await flush;
    expect(scripted.results).toEqual(['a']);
  });
});

describe('order and sequences', () => {
  it('the producer numbers batches without gaps and has up to five in flight', async () => {
    const scripted = await warmedUp();
    for (const value of ['a', 'b', 'c', 'd', 'e', 'f']) await scripted.send(value);
    expect(scripted.port.requests.slice(1).map(({ batches }) => batches[0]!.sequence)).toEqual([
      1, 2, 3, 4, 5,
    ]);
    await scripted.port.requests[1]!.answer();
    expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 6, values: ['f'] });
  });

  it('the producer has only one batch in flight until the broker has acknowledged one, which it would otherwise not miss', async () => {
    const scripted = await ScriptedProducer.withTopic([1]);
    await scripted.send('a');
    await scripted.send('b');
    expect(scripted.port.requests).toHaveLength(1);
    await scripted.port.last().answer();
    expect(scripted.port.last().values).toBe('b');
  });

  it('the producer has one batch of a partition in flight without idempotence', async () => {
    const scripted = await warmedUp({ 'enable.idempotence': false });
    await scripted.send('a');
    await scripted.send('b');
    expect(scripted.port.last().values).toBe('a');
    expect(scripted.port.last().batches[0]).toMatchObject({ sequence: -1, epoch: -1 });
    await scripted.port.last().fail(unavailable());
    await scripted.pass(200);
    expect(scripted.port.last().values).toBe('a');
  });

  it('the producer repeats what got no answer one by one, in order, with the same sequences', async () => {
    const scripted = await warmedUp();
    for (const value of ['a', 'b', 'c']) await scripted.send(value);
    const [, a, b, c] = scripted.port.requests;
    await c!.fail(unavailable());
    await a!.fail(unavailable());
    await b!.fail(unavailable());
    await scripted.send('d');
    const before = scripted.port.requests.length;
    for (let i = before; i < before + 4; i++) {
      await scripted.pass(200);
      await scripted.port.requests[i]!.answer();
    }
    const repeated = scripted.port.requests.slice(before).map(({ batches }) => batches[0]!);
    expect(repeated).toMatchObject([
      { sequence: 1, values: ['a'] },
      { sequence: 2, values: ['b'] },
      { sequence: 3, values: ['c'] },
      { sequence: 4, values: ['d'] },
    ]);
    expect(scripted.results).toEqual(['a', 'b', 'c', 'd']);
  });

  it('the producer sends nothing new ahead of a batch that has to go again', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    await scripted.port.last().answer({ errorCode: 7 });
    const before = scripted.port.requests.length;
    scripted.try('b');
    await scripted.pass(50);
    expect(scripted.port.requests).toHaveLength(before);
    await scripted.pass(100);
    expect(scripted.port.requests.slice(before).map(({ values }) => values)).toEqual(['a', 'b']);
  });

  it('the producer passes results on in order even when a later batch is acknowledged first', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    await scripted.send('b');
    const [, a, b] = scripted.port.requests;
    await a!.answer({ errorCode: 20 }); // in the leader's log, but not replicated in time
    await b!.answer();
    expect(scripted.results).toEqual([]);
    await scripted.pass(200);
    await scripted.port.last().answer({ errorCode: KafkaErrorCode.DUPLICATE_SEQUENCE_NUMBER });
    expect(scripted.results).toEqual(['a', 'b']);
  });

  it('the producer repeats a batch that is out of order only because an earlier one has to go again', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    await scripted.send('b');
    const [, a, b] = scripted.port.requests;
    await a!.answer({ errorCode: 6 });
    await b!.answer({ errorCode: KafkaErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER });
    await scripted.pass(300);
    expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 1, epoch: 0, values: ['a'] });
    await scripted.port.last().answer();
    await scripted.pass(300);
    expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 2, epoch: 0, values: ['b'] });
    expect(scripted.producer.stats.epochBumpTotal).toBe(0);
  });

  it.each([KafkaErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaErrorCode.UNKNOWN_PRODUCER_ID])(
    'the producer starts a new epoch when the broker lost what it knew of us (error %i), once nothing is in flight, and keeps order',
    async (errorCode) => {
      const scripted = await warmedUp();
      await scripted.send('a');
      await scripted.send('b');
      const [, a, b] = scripted.port.requests;
      await a!.answer({ errorCode });
      await scripted.pass(300);
      expect(scripted.port.requests).toHaveLength(3);
      await b!.answer({ errorCode });
      await scripted.pass(300);
      expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 0, epoch: 1, values: ['a'] });
      await scripted.port.last().answer();
      await scripted.pass(300);
      expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 1, epoch: 1, values: ['b'] });
      await scripted.port.last().answer();
      expect(scripted.results).toEqual(['a', 'b']);
    },
  );

  it('the producer takes a duplicate for what it is, a batch that was delivered', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    await scripted.port.last().answer({ errorCode: KafkaErrorCode.DUPLICATE_SEQUENCE_NUMBER });
    expect(scripted.results).toEqual(['a']);
  });
});

describe('refused batches', () => {
  it('the producer fails a batch for an error that is not retriable, and goes on in a new epoch', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    await scripted.send('b');
    const [, a, b] = scripted.port.requests;
    await a!.answer({ errorCode: 87 });
    await b!.answer({ errorCode: KafkaErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER });
    expect(scripted.results).toEqual(['a:INVALID_RECORD']);
    await scripted.pass(300);
    expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 0, epoch: 1, values: ['b'] });
    await scripted.port.last().answer();
    expect(scripted.results).toEqual(['a:INVALID_RECORD', 'b']);
  });

  it('the producer fails only the records that the broker names, and sends the others ahead of later batches', async () => {
    const scripted = await warmedUp();
    await scripted.send('a', 'b', 'c', 'd');
    await scripted.send('e');
    const [, first, second] = scripted.port.requests;
    await first!.answer({ errorCode: 32, recordFaults: [{ index: 1, message: 'too far ahead' }] });
    await second!.answer({ errorCode: KafkaErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER });
    const sent: object[] = [];
    for (let i = 0; i < 3; i++) {
      await scripted.pass(300);
      sent.push(scripted.port.last().batches[0]!);
      await scripted.port.last().answer();
    }
    expect(sent).toMatchObject([
      { sequence: 0, epoch: 1, values: ['a'] },
      { sequence: 1, epoch: 1, values: ['c', 'd'] },
      { sequence: 3, epoch: 1, values: ['e'] },
    ]);
    expect(scripted.results).toEqual(['a', 'b:INVALID_TIMESTAMP', 'c', 'd', 'e']);
    expect(scripted.producer.buffer.availableBytes).toBe(scripted.producer.buffer.totalBytes);
  });

  it('the producer splits a batch that is too large for the broker, within its sequence', async () => {
    const scripted = await warmedUp();
    await scripted.send('a', 'b', 'c');
    await scripted.port.last().answer({ errorCode: KafkaErrorCode.MESSAGE_TOO_LARGE });
    await scripted.pass(0);
    expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 1, values: ['a'] });
    await scripted.port.last().answer();
    expect(scripted.port.last().batches[0]).toMatchObject({ sequence: 2, values: ['b', 'c'] });
    await scripted.port.last().answer({ errorCode: KafkaErrorCode.MESSAGE_TOO_LARGE });
    await scripted.port.last().answer();
    await scripted.port.last().answer({ errorCode: KafkaErrorCode.MESSAGE_TOO_LARGE });
    expect(scripted.results).toEqual(['a', 'b', 'c:RECORD_TOO_LARGE']);
    expect(scripted.producer.buffer.availableBytes).toBe(scripted.producer.buffer.totalBytes);
  });

  it('the producer retries without end when told to, with growing pauses', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    for (let i = 0; i < 30; i++) {
      await scripted.port.last().fail(unavailable());
      await scripted.pass(1_200);
    }
    expect(scripted.port.requests).toHaveLength(32);
    await scripted.port.last().answer();
    expect(scripted.results).toEqual(['a']);
  });

  it('the producer repeats a batch when its pause is over, whatever jitter the next look would come to', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed).next;
      const scripted = await ScriptedProducer.withTopic([1], {}, { random });
      await scripted.send('a');
      await scripted.port.last().fail(unavailable());
      for (let ms = 0; ms < 150; ms++) await scripted.pass(1);
      expect(scripted.port.requests).toHaveLength(2);
    }
  });

  it('the producer finds the record that is wrong when the broker does not name it, and delivers the others in order', async () => {
    const scripted = await warmedUp();
    await scripted.send('a', 'b', 'c');
    for (let i = 0; i < 12 && scripted.results.length < 3; i++) {
      const { batches } = scripted.port.last();
      const isWrong = batches[0]!.values.includes('b');
      await scripted.port.last().answer(isWrong ? { errorCode: 87 } : {});
      await scripted.pass(300);
    }
    expect(scripted.results).toEqual(['a', 'b:INVALID_RECORD', 'c']);
  });

  it('the producer lets a failed record be read once more while its failure is told', async () => {
    const scripted = await warmedUp();
    const read: unknown[] = [];
    const target = {
      recordCompleted(token: number, result: BatchResult, index: number) {
        const { key, value, timestampMs } = result.record(index);
        read.push([token, String(key), String(value), timestampMs, result.error?.isRecordFault]);
      },
    };
    for (let token = 0; token < 3; token++) {
      const record = {
        topic: 't',
        key: Buffer.from('k'),
        value: Buffer.from(`value ${token}`),
        timestampMs: 17 + token,
        headers: NO_HEADERS,
      };
      expect(scripted.producer.tryAppend(record, target, token)).toBeUndefined();
    }
    await scripted.pass(10);
    const recordFaults = [0, 1, 2].map((index) => ({ index, message: 'no' }));
    await scripted.port.last().answer({ errorCode: 32, recordFaults });
    expect(read).toEqual([0, 1, 2].map((i) => [i, 'k', `value ${i}`, 17 + i, true]));
  });

  it('the producer fails a batch in flight when delivery.timeout.ms is over, and says that Kafka may have it', async () => {
    const scripted = await warmedUp({ 'delivery.timeout.ms': 31_000, 'request.timeout.ms': 30_000 });
    await scripted.send('a');
    await scripted.pass(31_000);
    expect(scripted.results).toEqual(['a:DELIVERY_TIMEOUT']);
    await scripted.send('b');
    await scripted.port.last().answer();
    await scripted.port.last(1).answer(); // too late to matter
    expect(scripted.results).toEqual(['a:DELIVERY_TIMEOUT', 'b']);
    expect(scripted.producer.buffer.availableBytes).toBe(scripted.producer.buffer.totalBytes);
  });

  it('the producer fails by name what a partition held that does not exist any more', async () => {
    const scripted = await ScriptedProducer.withTopic([-1, -1]);
    const keyOf = (partition: number) =>
      ['a', 'b', 'c', 'd', 'e'].find((key) => partitionForKey(Buffer.from(key), 2) === partition)!;
    scripted.try('stays', 't', keyOf(0));
    scripted.try('gone', 't', keyOf(1));
    scripted.port.setTopic('t', [1], 0, 'another topic of that name');
    await scripted.pass(2_000);
    await scripted.pass(10);
    await scripted.port.last().answer();
    expect(scripted.results.filter((result) => !result.startsWith('probe'))).toEqual([
      'gone:PARTITION_GONE',
      'stays',
    ]);
  });

  it('the producer is not led back to a topic that is no more by a broker that has not heard of its successor', async () => {
    const scripted = await ScriptedProducer.withTopic([1, 1]);
    scripted.port.setTopic('t', [1, 1], 0, 'successor');
    await scripted.pass(300_000);
    scripted.port.setTopic('t', [2], 7, 'a');
    await scripted.pass(300_000);
    expect(scripted.port.metadataRequests).toBeGreaterThan(2);
    await scripted.send('x');
    expect(scripted.port.last()).toMatchObject({ brokerId: 1, values: 'x' });
    await scripted.port.last().answer();
    expect(scripted.results).toContain('x');
    expect(scripted.results.filter((result) => result.includes(':'))).toEqual([]);
  });

  it('the producer repeats nothing behind a batch of which the broker does not say whether it appended it', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    await scripted.send('b');
    const [, a, b] = scripted.port.requests;
    await a!.answer({ errorCode: KafkaErrorCode.UNKNOWN_SERVER_ERROR });
    await b!.fail(new BrokerUnavailableError('gone'));
    await scripted.pass(300);
    // The same place in the same epoch: if the broker has both, it knows b again; if not, it says so.
    expect(scripted.port.last().batches[0]).toMatchObject({
      sequence: b!.batches[0]!.sequence,
      epoch: b!.batches[0]!.epoch,
      values: ['b'],
    });
    await scripted.port.last().answer();
    expect(scripted.results).toEqual(['a:UNKNOWN_SERVER_ERROR', 'b']);
  });

  it('the producer fails a batch when delivery.timeout.ms is over, with the last error as its cause', async () => {
    const scripted = await warmedUp({ 'delivery.timeout.ms': 40_000 });
    scripted.port.unready.add(1);
    scripted.try('a');
    await scripted.pass(39_000);
    expect(scripted.results).toEqual([]);
    await scripted.pass(1_001);
    expect(scripted.results).toEqual(['a:DELIVERY_TIMEOUT']);
  });

  it('the producer fails a batch that was repeated as often as retries says', async () => {
    const scripted = await warmedUp({ retries: 2 });
    await scripted.send('a');
    for (let i = 0; i < 3; i++) {
      await scripted.port.last().answer({ errorCode: 19 });
      await scripted.pass(1_200);
    }
    expect(scripted.results).toEqual(['a:NOT_ENOUGH_REPLICAS']);
  });
});

describe('leaders', () => {
  it('the producer follows the new leader that the answer names, without asking for metadata', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    const asked = scripted.port.metadataRequests;
    await scripted.port
      .last()
      .answer(
        { errorCode: 6, currentLeader: { leaderId: 9, leaderEpoch: 1 } },
        { endpoints: [{ nodeId: 9, host: '127.0.0.1', port: 9 }] },
      );
    await scripted.pass(200);
    expect(scripted.port.last().brokerId).toBe(9);
    expect(scripted.port.brokers.map(({ nodeId }) => nodeId)).toContain(9);
    expect(scripted.port.metadataRequests).toBe(asked);
  });

  it('the producer asks for metadata when a leader has moved, and is not led back by an older answer', async () => {
    const scripted = await warmedUp();
    scripted.port.setTopic('t', [2], 5);
    await scripted.send('a');
    await scripted.port.last().answer({ errorCode: 6 });
    await scripted.pass(300);
    expect(scripted.port.last().brokerId).toBe(2);
    scripted.port.setTopic('t', [1], 4);
    await scripted.port.last().answer({ errorCode: 6 });
    await scripted.pass(5_000);
    expect(scripted.port.last().brokerId).toBe(2);
    scripted.port.setTopic('t', [3], 6);
    await scripted.pass(2_000);
    expect(scripted.port.last().brokerId).toBe(3);
  });

  it('the producer keeps asking for metadata while a leader hangs, until the cluster has noticed and names another', async () => {
    const scripted = await warmedUp();
    scripted.port.unready.add(1);
    await scripted.send('a');
    const before = scripted.port.metadataRequests;
    for (let i = 0; i < 10; i++) await scripted.pass(1_500);
    expect(scripted.port.metadataRequests).toBeGreaterThan(before + 5);
    expect(scripted.port.last().values).toBe('warm');

    scripted.port.setTopic('t', [2], 1);
    for (let i = 0; i < 3; i++) await scripted.pass(1_500);
    expect(scripted.port.last()).toMatchObject({ brokerId: 2, values: 'a' });
  });

  it('the producer pauses for a broker that throttles', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    await scripted.port.last().answer({}, { throttleTimeMs: 500 });
    await scripted.send('b');
    expect(scripted.port.last().values).toBe('a');
    await scripted.pass(500);
    expect(scripted.port.last().values).toBe('b');
  });

  it('the producer sends when a broker becomes reachable again', async () => {
    const scripted = await warmedUp();
    scripted.port.unready.add(1);
    await scripted.send('a');
    expect(scripted.port.last().values).toBe('warm');
    scripted.port.unready.clear();
    scripted.port.onReadinessChange!();
    await settled();
    expect(scripted.port.last().values).toBe('a');
  });

  it('the producer looks for a cluster that is gone, also while nothing is to be sent, until it is there again', async () => {
    const scripted = await warmedUp();
    const { port } = scripted;
    const tenSeconds = async (): Promise<void> => {
      for (let second = 0; second < 10; second++) await scripted.pass(1_000);
    };
    const known = port.metadataRequests;
    port.connectedBrokers = 0;
    port.metadataFailure = new Error('nobody answers');
    port.onReadinessChange!();
    await tenSeconds();
    const inVain = port.metadataRequests - known;
    expect(inVain).toBeGreaterThan(5);
    port.metadataFailure = undefined;
    port.connectedBrokers = 1;
    await tenSeconds();
    expect(port.metadataRequests - known).toBe(inVain + 1);
  });
});

describe('what is not taken', () => {
  it('the producer says at once and for good that a record is too large, naming topic and sizes', async () => {
    const scripted = await ScriptedProducer.withTopic([1], { 'max.request.size': 2_000 });
    const refusal = scripted.try('x'.repeat(2_000));
    expect(refusal).toBeInstanceOf(RecordTooLargeError);
    expect((refusal as RecordTooLargeError).message).toContain(
      "topic 't' is larger than max.request.size (2000)",
    );
  });

  it('the producer lets the first record of a topic wait for its metadata, and calls it back', async () => {
    const scripted = new ScriptedProducer();
    scripted.port.setTopic('t', [1]);
    const refusal = scripted.try('a');
    let calledBack = 0;
    if (refusal === undefined || refusal instanceof Error) throw new Error('it should wait');
    refusal.wait(() => calledBack++);
    await settled();
    expect(calledBack).toBe(1);
    expect(scripted.try('a')).toBeUndefined();
  });

  it('the producer names a topic that does not exist, keeps asking, and goes on when it is there', async () => {
    const scripted = new ScriptedProducer();
    const refusal = scripted.try('a', 'absent');
    await scripted.pass(3_000);
    expect([...scripted.producer.topicFaults()].map(([topic, { code }]) => [topic, code])).toEqual([
      ['absent', 'UNKNOWN_TOPIC_OR_PARTITION'],
    ]);
    let calledBack = false;
    if (refusal === undefined || refusal instanceof Error) throw new Error('it should wait');
    refusal.wait(() => (calledBack = true));
    scripted.port.setTopic('absent', [1]);
    await scripted.pass(2_000);
    expect(calledBack).toBe(true);
    expect(scripted.producer.topicFaults().size).toBe(0);
  });

  it('the producer forgets on request a topic that does not exist, and calls back who waits for it', async () => {
    const scripted = new ScriptedProducer();
    scripted.port.setTopic('there', [1]);
    scripted.try('a', 'there');
    const waiting = ['absent', 'wanted'].map((topic) => scripted.try('a', topic));
    await scripted.pass(3_000);
    const calledBack: number[] = [];
    for (const [index, refusal] of waiting.entries()) {
      if (refusal === undefined || refusal instanceof Error) throw new Error('it should wait');
      refusal.wait(() => calledBack.push(index));
    }
    scripted.producer.forgetMissingTopics(['wanted']);
    expect(calledBack).toEqual([0]);
    expect([...scripted.producer.topicFaults().keys()]).toEqual(['wanted']);
    expect(scripted.try('b', 'there')).toBeUndefined();
  });

  it('the producer holds what was taken when the right to write is withdrawn, and delivers it when it is given back', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    scripted.port.setTopicError('t', 29);
    await scripted.port.last().answer({ errorCode: KafkaErrorCode.TOPIC_AUTHORIZATION_FAILED });
    await scripted.pass(2_000);
    expect(scripted.producer.topicFaults().get('t')?.code).toBe('TOPIC_AUTHORIZATION_FAILED');
    expect(scripted.results).toEqual([]);
    scripted.port.setTopic('t', [1]);
    await scripted.pass(2_000);
    await scripted.port.last().answer();
    expect(scripted.results).toEqual(['a']);
  });

  it('the producer gives no partition more than its share, and other partitions are not held up', async () => {
    const scripted = await ScriptedProducer.withTopic([-1, 1], {
      'buffer.memory': 65_536,
      'batch.size': 4_096,
    });
    const keyOf = (partition: number) =>
      ['a', 'b', 'c', 'd', 'e'].find((key) => partitionForKey(Buffer.from(key), 2) === partition)!;
    const [dead, alive] = [keyOf(0), keyOf(1)];
    let taken = 0;
    while (scripted.try('x'.repeat(200), 't', dead) === undefined) taken++;
    expect(taken * 200).toBeLessThanOrEqual(65_536 / 4);
    expect(scripted.producer.buffer.availableBytes).toBeGreaterThanOrEqual(65_536 * 0.75);
    expect(scripted.try('y', 't', alive)).toBeUndefined();
  });

  it('the producer never holds more than buffer.memory, and wakes those who wait in order', async () => {
    const scripted = await ScriptedProducer.withTopic([1, 1, 1, 1, 1, 1, 1, 1], {
      'buffer.memory': 65_536,
      'batch.size': 16_384,
    });
    const order: number[] = [];
    let waiting = 0;
    for (let i = 0; waiting < 5; i++) {
      const refusal = scripted.try('z'.repeat(500), 't', `key-${i}`);
      if (refusal === undefined || refusal instanceof Error) continue;
      const place = waiting++;
      refusal.wait(() => order.push(place));
    }
    expect(scripted.producer.buffer.availableBytes).toBe(0);
    await settled(); // memory is exhausted: nothing lingers
    await scripted.port.last().answer();
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('close', () => {
  it('close() delivers what was taken, and ends the connections', async () => {
    const scripted = await warmedUp({ 'linger.ms': 5_000 });
    scripted.try('a');
    const closing = scripted.producer.close(1_000);
    await settled();
    await scripted.port.last().answer();
    expect(await closing).toEqual([]);
    expect(scripted.results).toEqual(['a']);
    expect(scripted.port.closed).toBe(true);
    expect(scripted.try('b')).toMatchObject({ code: 'PRODUCER_CLOSED' });
  });

  it('close() lists what it could not deliver in time, and each of these records hears of it once', async () => {
    const scripted = await warmedUp();
    await scripted.send('a');
    scripted.try('b');
    const closing = scripted.producer.close(1_000);
    await scripted.pass(1_000);
    expect(await closing).toEqual([{ topic: 't', partition: 0, records: 2 }]);
    await scripted.port.last().answer();
    expect(scripted.results).toEqual(['a:PRODUCER_CLOSED', 'b:PRODUCER_CLOSED']);
  });
});
