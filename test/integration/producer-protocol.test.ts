import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { NO_HEADERS } from '../../src/core/record.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { NegotiatedVersions, type NegotiatedSender } from '../../src/kafka/protocol/api-versions.ts';
import { BrokerConnection } from '../../src/kafka/connection/broker-connection.ts';
import { encodeProduceRequest, parseProduceResponse } from '../../src/kafka/protocol/produce.ts';
import { fetchMetadata, initProducerId } from '../../src/kafka/protocol/requests.ts';
import { requireSecurity } from '../../src/kafka/security/security.ts';
import { AuthenticatedChannel } from '../../src/kafka/connection/authenticated-channel.ts';
import { parseProducerConfig } from '../../src/producer/config/config.ts';
import { PartitionQueue } from '../../src/producer/batches/partition-queue.ts';
import type { ProducerIdAndEpoch } from '../../src/producer/cluster/port.ts';
import { ProducerBatch } from '../../src/producer/batches/producer-batch.ts';
import { compressBatch } from '../support/compress-batch.ts';
import { ManualClock } from '../testbed/fleet/manual-clock.ts';
import { readTopic, startProducer } from '../support/producer.ts';
import { RecordLoad } from '../support/record-load.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { until } from '../support/until.ts';

const kafka = sharedKafka();
const [host, port] = kafka.bootstrapServers.split(':') as [string, string];
const channelOptions = {
  clientId: 'protocol-test',
  connectTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  security: requireSecurity(parseProducerConfig({}).config),
  clock: systemClock,
};

/** The newest versions that the broker and we both speak. */
let newest: NegotiatedVersions;

let channel: AuthenticatedChannel | undefined;
const connect = async () => {
  channel = await AuthenticatedChannel.open(host, Number(port), channelOptions, () => {});
  newest = channel.versions;
  return channel;
};

afterEach(async () => {
  await channel?.close();
  channel = undefined;
});

/** The channel, as if the broker spoke these versions. */
const speaking = (to: AuthenticatedChannel, versions: NegotiatedVersions): NegotiatedSender => ({
  request: (api, body) => to.request(api, body),
  versions,
});

/** A broker that has just started is still loading now and then. */
async function producerId(from: AuthenticatedChannel, versions = newest): Promise<ProducerIdAndEpoch> {
  let id: ProducerIdAndEpoch | undefined;
  await until(
    async () => {
      id = await initProducerId(speaking(from, versions)).catch(() => undefined);
      return id !== undefined;
    },
    { what: 'a producer id' },
  );
  return id!;
}

/** Produces one record and tells the partition's error code. */
async function produce(
  to: AuthenticatedChannel,
  topic: string,
  value: string,
  place: Partial<ProducerIdAndEpoch & { sequence: number }> = {},
  versions = newest,
): Promise<number> {
  const batch = new ProducerBatch(new PartitionQueue(topic, 0, () => 0), Buffer.alloc(1_000), 0);
  const record = {
    topic,
    key: null,
    value: Buffer.from(value),
    timestampMs: Date.now(),
    headers: NO_HEADERS,
  };
  batch.tryAppend(record, { recordCompleted() {} }, 0);
  batch.producerId = place.producerId ?? -1n;
  batch.producerEpoch = place.epoch ?? -1;
  batch.baseSequence = place.sequence ?? -1;
  await compressBatch(batch, 'none');
  const api = versions.of('produce');
  const body = encodeProduceRequest(api, [batch], {
    acks: -1,
    timeoutMs: 10_000,
  });
  const { partitions } = parseProduceResponse(api, await to.request(api, body), [batch]);
  return partitions[0]!.errorCode;
}

describe('the versions of the protocol', () => {
  beforeAll(async () => {
    await kafka.tools.createTopic('protocol-versions');
  });

  it('that brokers from Kafka 2.1 on speak are all understood by Kafka, and its answers by us', async () => {
    const to = await connect();
    const versions = [7, 8, 9, 10, 11, 12].filter((version) => version <= newest.of('produce').version);
    for (const version of versions) {
      const only = new NegotiatedVersions(
        'test',
        new Map([
          [0, [0, version]],
          [3, [0, version]],
          [22, [0, version < 9 ? 3 : 4]],
        ]),
      );
      const { topics, brokers } = await fetchMetadata(speaking(to, only), ['protocol-versions', 'absent']);
      expect(brokers).toHaveLength(1);
      expect(topics).toMatchObject([
        { name: 'protocol-versions', errorCode: 0, partitions: [{ leaderId: 1, leaderEpoch: 0 }] },
        { name: 'absent', errorCode: 3, partitions: [] },
      ]);
      expect(topics[0]!.topicId === undefined).toBe(version < 10);
      expect((await producerId(to, only)).producerId).toBeGreaterThanOrEqual(0n);
      expect(await produce(to, 'protocol-versions', `v${version}`, {}, only)).toBe(0);
    }
    const values = (await readTopic(kafka.bootstrapServers, 'protocol-versions')).map(({ value }) => value);
    expect(values).toEqual(versions.map((version) => `v${version}`));
  });
});

describe('what Kafka checks of sequences, on which the producer relies', () => {
  beforeAll(async () => {
    await kafka.tools.createTopic('protocol-sequences');
  });

  it('a partition without state of a producer takes any sequence: so the first batch must go alone', async () => {
    const to = await connect();
    const id = await producerId(to);
    expect(await produce(to, 'protocol-sequences', 'a', { ...id, sequence: 5 })).toBe(0);
    expect(await produce(to, 'protocol-sequences', 'b', { ...id, sequence: 4 })).not.toBe(0);
    expect(await produce(to, 'protocol-sequences', 'c', { ...id, sequence: 7 })).toBe(45);
    expect(await produce(to, 'protocol-sequences', 'd', { ...id, sequence: 6 })).toBe(0);
  });

  it('a new epoch begins at 0 where the partition knows the producer, and fences the one before', async () => {
    const to = await connect();
    const id = await producerId(to);
    const next = { producerId: id.producerId, epoch: id.epoch + 1 };
    expect(await produce(to, 'protocol-sequences', 'a', { ...id, sequence: 0 })).toBe(0);
    expect(await produce(to, 'protocol-sequences', 'b', { ...next, sequence: 3 })).toBe(45);
    expect(await produce(to, 'protocol-sequences', 'b', { ...next, sequence: 0 })).toBe(0);
    expect(await produce(to, 'protocol-sequences', 'late', { ...id, sequence: 1 })).toBe(47);
  });
});

describe('a broker that throttles', () => {
  it('is given a pause, and everything in the end', async () => {
    await kafka.tools.run('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', kafka.bootstrapServers, '--alter'],
      ...[
        '--entity-type',
        'clients',
        '--entity-name',
        'throttled',
        '--add-config',
        'producer_byte_rate=50000',
      ],
    ]);
    await kafka.tools.createTopic('protocol-throttled', { partitions: 2 });
    const producer = startProducer(kafka.bootstrapServers, { 'client.id': 'throttled' });
    const load = new RecordLoad(producer, 'protocol-throttled', 10);
    await until(
      async () => {
        await load.run(load.appended + 500);
        await producer.flush();
        return producer.stats.produceThrottleTimeTotalMs > 0;
      },
      { everyMs: 1, what: 'the broker to throttle' },
    );
    await load.run(load.appended + 50);
    expect(await producer.close(30_000)).toEqual([]);
    expect(load.judge(await readTopic(kafka.bootstrapServers, 'protocol-throttled'))).toEqual([]);
    expect(producer.metrics()['produce-throttle-time-avg']).toBeGreaterThan(0);
  });
});

describe('connections', () => {
  it('are ended when idle for connections.max.idle.ms, and made again when needed', async () => {
    const clock = new ManualClock();
    const connection = new BrokerConnection({
      host,
      port: Number(port),
      channel: { ...channelOptions, clock },
      logger: silentLogger,
      maxIdleMs: 60_000,
      backoffMs: () => 50,
      securityBackoffMs: () => 50,
      onChange() {},
    });
    await connection.connect();
    clock.advance(40_000);
    expect(connection.current()).toBeDefined();
    clock.advance(40_000);
    expect(connection.isConnected).toBe(true);
    clock.advance(21_000);
    expect(connection.isConnected).toBe(false);
    expect(connection.isReachable).toBe(true);
    expect(connection.current()).toBeUndefined();
    await until(() => connection.isConnected, { what: 'the connection to be there again' });
    await connection.close();
  });

  it('to a broker that accepts and never answers does not keep metadata from coming from another', async () => {
    const sockets = new Set<Socket>();
    const hung = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
    });
    await new Promise<void>((resolve) => hung.listen(0, '127.0.0.1', resolve));
    await kafka.tools.createTopic('protocol-hung');
    const servers = `127.0.0.1:${(hung.address() as AddressInfo).port},${kafka.bootstrapServers}`;
    const producer = startProducer(servers, { 'request.timeout.ms': 60_000 });
    const load = new RecordLoad(producer, 'protocol-hung', 1);
    const startedAt = performance.now();
    await load.run(1);
    await producer.flush();
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    expect(load.acknowledged).toBe(1);
    for (const socket of sockets) socket.destroy();
    hung.close();
    expect(await producer.close(5_000)).toEqual([]);
  });
});
