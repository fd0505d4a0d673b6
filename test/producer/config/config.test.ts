import { describe, expect, it } from 'vitest';
import { parseProducerConfig } from '../../../src/producer/config/config.ts';

const faultsOf = (raw: Record<string, unknown>) =>
  parseProducerConfig(raw).faults.map(
    ({ path, found, expected }) => `${path.join('.')}: ${found}: ${expected}`,
  );

describe("the producer's configuration", () => {
  it("has Kafka 4's defaults", () => {
    const { config, faults } = parseProducerConfig({ 'bootstrap.servers': 'a:1, b:2' });
    expect(faults).toEqual([]);
    expect(config).toMatchObject({
      bootstrapServers: ['a:1', 'b:2'],
      acks: -1,
      enableIdempotence: true,
      batchSizeBytes: 16_384,
      lingerMs: 5,
      bufferMemoryBytes: 33_554_432,
      maxRequestSizeBytes: 1_048_576,
      compressionType: 'none',
      maxInFlightRequestsPerConnection: 5,
      retries: 2_147_483_647,
      retryBackoffMs: 100,
      retryBackoffMaxMs: 1_000,
      requestTimeoutMs: 30_000,
      deliveryTimeoutMs: 120_000,
      metadataMaxAgeMs: 300_000,
    });
  });

  it('takes numbers and booleans as text too, as the environment gives them', () => {
    const { config, faults } = parseProducerConfig({
      'linger.ms': '25',
      'enable.idempotence': 'true',
      acks: 'all',
    });
    expect(faults).toEqual([]);
    expect(config).toMatchObject({ lingerMs: 25, enableIdempotence: true, acks: -1 });
  });

  it('names what is wrong with every value at once', () => {
    expect(
      faultsOf({
        'linger.ms': -1,
        acks: 'some',
        'compression.type': 'zip',
        'bootstrap.servers': 'localhost',
      }),
    ).toEqual([
      "bootstrap.servers: 'localhost': one or more host:port, as a list or separated by commas",
      "acks: 'some': all, 1 or 0",
      'linger.ms: -1: an integer from 0 to 3600000',
      "compression.type: 'zip': one of none, gzip, snappy, lz4, zstd",
    ]);
  });

  it('suggests the name that was meant', () => {
    expect(faultsOf({ linger: 5, 'batch.sizes': 1, compression_type: 'lz4' })).toEqual([
      "linger: 5: the name of a producer setting; did you mean 'linger.ms'?",
      "batch.sizes: 1: the name of a producer setting; did you mean 'batch.size'?",
      "compression_type: 'lz4': the name of a producer setting; did you mean 'compression.type'?",
    ]);
    expect(faultsOf({ 'transactional.id': 'x' })).toEqual([
      "transactional.id: 'x': nothing: transactions are not supported",
    ]);
  });

  it('refuses what idempotence can not go with, when it was asked for', () => {
    expect(faultsOf({ 'enable.idempotence': true, acks: 1, retries: 0 })).toEqual([
      "acks: 1: all, because 'enable.idempotence' is true",
      "retries: 0: more than 0, because 'enable.idempotence' is true",
    ]);
    expect(faultsOf({ 'max.in.flight.requests.per.connection': 6 })).toHaveLength(1);
  });

  it('gives up idempotence by itself when it was not asked for, as Java does', () => {
    const { config, faults } = parseProducerConfig({ acks: 1 });
    expect(faults).toEqual([]);
    expect(config.enableIdempotence).toBe(false);
  });

  it('wants delivery.timeout.ms to leave time for a linger and a request; it may be infinite', () => {
    expect(faultsOf({ 'delivery.timeout.ms': 30_000 })).toHaveLength(1);
    expect(parseProducerConfig({ 'delivery.timeout.ms': Infinity }).config.deliveryTimeoutMs).toBe(Infinity);
    expect(parseProducerConfig({ 'request.timeout.ms': 200_000 }).config.deliveryTimeoutMs).toBe(200_005);
  });
});
