import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { writeGatewayFiles, type GatewayFilesOptions } from '../../../src/testbed/drill/gateway-files.ts';
import { drawBlueprint } from '../../../src/assembly/blueprint.ts';
import { loadConfig } from '../../../src/config/load.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-files-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The blueprint that the gateway under test makes of its files, for an operator's sluice.yaml. */
async function underTest(
  yaml: string,
  environment: Record<string, string> = {},
  options: Partial<GatewayFilesOptions> = {},
) {
  writeFileSync(join(folder, 'operator.yaml'), yaml);
  const loaded = loadConfig(join(folder, 'operator.yaml'), environment);
  const files = await writeGatewayFiles({
    loaded,
    environment,
    folder: join(folder, 'gateway'),
    bootstrapServers: ['127.0.0.1:20001', '127.0.0.1:20002'],
    topic: 'sluice-drill-x',
    contract: 'kafka',
    journalBytes: undefined,
    paddingBytes: 0,
    ...options,
  });
  const drawn = drawBlueprint(files.configFile, files.environment);
  const texts = [files.configFile, join(folder, 'gateway/devices/drill.yaml')].map((file) =>
    readFileSync(file, 'utf8'),
  );
  return { ...files, ...drawn, text: texts.join('\n') };
}

const OPERATOR = `
mqtt:
  listeners: [{ type: tls, port: 8883, tls: { cert: x.pem, key: y.pem } }]
  inflight.quota: 7
admin: { port: 9999 }
kafka:
  bootstrap.servers: broker-1:9092
  client.id: edge-7
  producer: { linger.ms: 3, request.timeout.ms: 4000 }
  topics: { create: false, partitions: 3, replication.factor: 2, config: { min.insync.replicas: 2 } }
unrouted: dead-letter
unrouted.topic: production.unrouted
`;

describe('the gateway that a drill runs', () => {
  it("has the operator's settings and none of the operator's destinations", async () => {
    const { blueprint, faults, text } = await underTest(OPERATOR);
    expect(faults).toEqual([]);
    const { config, producer, kafkaTopics } = blueprint;
    expect(config.mqtt.inflightQuota).toBe(7);
    expect(config.mqtt.listeners).toMatchObject([{ type: 'tcp', host: '127.0.0.1', port: 0 }]);
    expect(config.admin).toEqual({ host: '127.0.0.1', port: 0 });
    expect(config.kafka).toMatchObject({
      bootstrapServers: ['127.0.0.1:20001', '127.0.0.1:20002'],
      clientId: 'edge-7-drill',
      topics: { partitions: 3, replicationFactor: 2, config: { 'min.insync.replicas': '2' } },
    });
    expect(producer).toMatchObject({ lingerMs: 3, requestTimeoutMs: 4_000 });
    expect(kafkaTopics).toEqual(['sluice-drill-x', 'sluice-drill-x.dlq']);
    expect(text).not.toMatch(/broker-1|production/);
  });

  it("is configured by its files alone: variables that set the operator's keys are not passed on", async () => {
    const { environment, blueprint } = await underTest(OPERATOR, {
      SLUICE_KAFKA__BOOTSTRAP_SERVERS: 'elsewhere:9092',
      SLUICE_MQTT__INFLIGHT_QUOTA: '9',
      HOME: '/home/x',
    });
    expect(environment).toEqual({ HOME: '/home/x' });
    expect(blueprint.config.mqtt.inflightQuota).toBe(9);
    expect(blueprint.config.kafka.bootstrapServers).toHaveLength(2);
  });

  it('logs in as the operator does, without TLS on loopback, and no password is written to a file', async () => {
    writeFileSync(join(folder, 'secret'), 'hunter2\n');
    const { text, blueprint, faults, environment } = await underTest(
      `kafka:
  bootstrap.servers: broker-1:9092
  security.protocol: SASL_SSL
  sasl.mechanism: SCRAM-SHA-512
  sasl.username: edge
  sasl.password: '\${file:secret}'
  ssl.truststore.location: ca.pem
`,
    );
    expect(faults).toEqual([]);
    expect(blueprint.security.protocol).toBe('SASL_PLAINTEXT');
    const { sasl } = blueprint.security;
    expect(sasl?.mechanism === 'SCRAM-SHA-512' && sasl.credentials()).toEqual({
      username: 'edge',
      password: 'hunter2',
    });
    expect(text).not.toMatch(/hunter2|sasl|ssl/i);
    expect(Object.values(environment).join()).not.toContain('hunter2');
  });

  it('keeps its journal and its sessions in its own folder, as small as it is to be', async () => {
    const { blueprint, faults } = await underTest(
      'journal: { directories: [/var/lib/sluice], when.full: drop-oldest, commit.interval.ms: 9 }\n',
      {},
      { contract: 'journal', journalBytes: 1_048_576, paddingBytes: 100 },
    );
    expect(faults).toEqual([]);
    expect(blueprint.config.journal).toMatchObject({
      directories: [join(folder, 'gateway/journal')],
      maxBytes: 1_048_576,
      whenFull: 'block',
      commitIntervalMs: 9,
    });
    expect(blueprint.config.mqtt.sessions.directory).toBe(join(folder, 'gateway/sessions'));
    expect(blueprint.profiles).toMatchObject([{ ack: { name: 'journal' } }]);
  });
});
