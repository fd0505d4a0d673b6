import { describe, expect, it } from 'vitest';
import { adviseOn, adviseOnPartition, type IntendedUse } from '../../../src/producer/config/config-advice.ts';
import { parseProducerConfig } from '../../../src/producer/config/config.ts';

const codes = (settings: Readonly<Record<string, unknown>>, use?: IntendedUse) =>
  adviseOn(parseProducerConfig(settings).config, use).map(({ code, setting }) => `${code} ${setting}`);

describe('a configuration that is legal', () => {
  it('is not warned of when it is the default', () => {
    expect(codes({}, { largestRecordBytes: 1_000_000, topicMaxMessageBytes: 1_048_588 })).toEqual([]);
  });

  it.each([
    [
      { retries: 0, 'enable.idempotence': false },
      ['NO_RETRIES retries', 'NO_IDEMPOTENCE enable.idempotence'],
    ],
    [{ 'enable.idempotence': false }, ['NO_IDEMPOTENCE enable.idempotence']],
    [{ acks: '1' }, ['NO_IDEMPOTENCE acks']],
    [{ 'linger.ms': 0 }, ['SMALL_BATCHES linger.ms']],
    [{ 'batch.size': 1_024 }, ['SMALL_BATCHES batch.size']],
  ])('is warned of when it is a common mistake: %j', (settings, expected) => {
    expect(codes(settings)).toEqual(expected);
  });

  it('is warned of when records are larger than a request or than the topic takes', () => {
    expect(codes({}, { largestRecordBytes: 2_000_000 })).toEqual(['OVERSIZED_FOR_REQUEST max.request.size']);
    expect(codes({}, { largestRecordBytes: 500_000, topicMaxMessageBytes: 100_000 })).toEqual([
      'OVERSIZED_FOR_TOPIC max.request.size',
    ]);
    expect(codes({}, { topicMaxMessageBytes: 100_000 })).toEqual(['OVERSIZED_FOR_TOPIC max.request.size']);
  });

  it('is warned of when every record goes to the same partition', () => {
    expect(adviseOnPartition('key', "'all'")).toMatchObject({ code: 'HARD_CODED_PARTITION', setting: 'key' });
  });
});
