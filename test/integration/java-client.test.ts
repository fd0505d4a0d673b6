import { describe, expect, it } from 'vitest';
import { SETTINGS, unsupported, type ProducerConfig } from '../../src/producer/config/config-table.ts';
import { KafkaError, KafkaErrorCode } from '../../src/producer/cluster/kafka-errors.ts';
import { sharedKafka } from '../support/shared-kafka.ts';

/*
 * What Kafka's own classes print of themselves for Kafka's documentation, of the release of the local Kafka.
 */

const { tools } = sharedKafka();

/** Where we differ on purpose: the table says why. */
const OTHER_DEFAULTS: readonly string[] = [
  'client.id',
  'sasl.mechanism',
  'ssl.truststore.type',
  'ssl.keystore.type',
];

async function javaSettings(): Promise<readonly { name: string; default: string }[]> {
  const html = await tools.run('org.apache.kafka.clients.producer.ProducerConfig');
  return [...html.matchAll(/<a id="([^"]+)"><\/a>.*?<th>Default:<\/th><td>(.*?)<\/td>/gs)].map(
    ([, name = '', value = '']) => ({ name, default: value.replace(/ \(.*\)$/, '') }),
  );
}

function shown(name: string, value: ProducerConfig[keyof ProducerConfig]): string {
  return name === 'acks' && value === -1 ? 'all' : (value?.toString() ?? 'null');
}

describe("Kafka's Java producer", () => {
  it('has no setting that ours does not have or does not tell why not', async () => {
    const names = (await javaSettings()).map(({ name }) => name);
    expect(names.length).toBeGreaterThan(80);
    const ours = new Set<string>(Object.values(SETTINGS).map(({ name }) => name));
    expect(names.filter((name) => !ours.has(name) && unsupported(name) === undefined)).toEqual([]);
  });

  it('has our defaults, where ours does not say why not', async () => {
    const ours = new Map<string, string>(
      Object.values(SETTINGS).map((setting) => [setting.name, shown(setting.name, setting.default)]),
    );
    const others = (await javaSettings()).filter(
      (setting) =>
        ours.has(setting.name) &&
        !OTHER_DEFAULTS.includes(setting.name) &&
        ours.get(setting.name) !== setting.default,
    );
    expect(others).toEqual([]);
  });

  it('knows the error codes that ours knows, and takes the same ones for retriable', async () => {
    const html = await tools.run('org.apache.kafka.common.protocol.Errors');
    const java = [...html.matchAll(/<td>([A-Z_]+)<\/td><td>(-?\d+)<\/td><td>(True|False)<\/td>/g)].map(
      ([, name, code, retriable]) => ({ code: Number(code), name, retriable: retriable === 'True' }),
    );
    expect(java.length).toBeGreaterThan(130);
    const ours = Object.values(KafkaErrorCode).map((code) => {
      const { code: name, retriable } = new KafkaError(code, 'a request');
      return { code, name, retriable };
    });
    expect(ours.filter(({ code }) => code !== 0)).toEqual(java.filter(({ code }) => code !== 0));
  });
});
