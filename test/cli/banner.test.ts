import { describe, expect, it } from 'vitest';
import { banner } from '../../src/cli/banner.ts';
import { CONTRACTS, type ContractName } from '../../src/core/contract.ts';

function bannerWith(...contracts: readonly ContractName[]): string {
  return banner({
    version: '1.2.3',
    mqttUrls: ['mqtt://127.0.0.1:1883'],
    adminUrl: 'http://127.0.0.1:9641',
    kafka: '127.0.0.1:9092',
    profiles: contracts.map((contract) => ({
      type: `a-${contract}`,
      topic: `${contract}/{device}`,
      kafkaTopic: 't',
      contract: CONTRACTS[contract],
    })),
    warnings: [],
  });
}

describe('the banner of sluice run', () => {
  it.each([
    [[], 'in Kafka'],
    [['kafka'], 'in Kafka'],
    [['kafka', 'journal', 'kafka-or-journal'], "in Kafka or on this gateway's disk"],
    [['receive'], 'in Kafka or in memory'],
  ] satisfies [ContractName[], string][])(
    'with contracts %j says that what is acknowledged is %s',
    (contracts, where) => {
      expect(bannerWith(...contracts)).toContain(`Ctrl-C stops it; what is acknowledged is ${where}.\n`);
    },
  );

  it('names each device type with its topics', () => {
    expect(bannerWith('kafka')).toContain('a-kafka  kafka/{device}  -> t');
  });
});
