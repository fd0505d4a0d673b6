import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KafkaJsPort } from '../../../src/kafka/clients/kafkajs-port.ts';
import { SECURITY_BACKOFF_MAX_MS, SECURITY_BACKOFF_MS } from '../../../src/kafka/connection/port-options.ts';
import { parseProducerConfig } from '../../../src/producer/config/config.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';
import { LogLines } from '../../support/log-lines.ts';
import { until } from '../../support/until.ts';
import { UntrustedServer } from '../../support/untrusted-server.ts';

let server: UntrustedServer;

beforeAll(async () => {
  server = await UntrustedServer.start();
});

afterAll(() => {
  server.close();
});

describe('the kafkajs adapter at a broker that is not trusted', () => {
  const clock = new ManualClock();
  const log = new LogLines();
  let port: KafkaJsPort;
  let changes = 0;

  beforeEach(() => {
    server.connections = 0;
    const { config, faults } = parseProducerConfig({
      'bootstrap.servers': `127.0.0.1:${server.port}`,
      'security.protocol': 'SSL',
    });
    expect(faults).toEqual([]);
    // A random number of 0.5 means no jitter.
    port = new KafkaJsPort({ config, clock, logger: log, random: () => 0.5 });
    port.onReadinessChange = () => changes++;
  });

  afterEach(async () => {
    const closed = port.close();
    clock.advance(60_000);
    await closed;
  });

  it('tries again at a calm pace, however often somebody asks for it, and complains once', async () => {
    let pauseMs = SECURITY_BACKOFF_MS;
    for (let round = 1; round <= 6; round++) {
      for (let i = 0; i < 10; i++) expect(port.isReady()).toBe(false);
      await expect(port.fetchMetadata(['t'])).rejects.toMatchObject({ code: 'KAFKA_CERTIFICATE_UNTRUSTED' });
      clock.advance(pauseMs - 1);
      for (let i = 0; i < 10; i++) expect(port.isReady()).toBe(false);
      await expect(port.fetchMetadata(['t'])).rejects.toMatchObject({ code: 'KAFKA_CERTIFICATE_UNTRUSTED' });
      expect(server.connections).toBe(round);
      changes = 0;
      clock.advance(2);
      expect(changes).toBe(1);
      pauseMs = Math.min(2 * pauseMs, SECURITY_BACKOFF_MAX_MS);
    }
    expect(pauseMs).toBe(SECURITY_BACKOFF_MAX_MS);
    const { securityFailures, connectedBrokers } = port.connectionState();
    expect(connectedBrokers).toBe(0);
    expect(securityFailures).toEqual([expect.stringContaining('ssl.truststore.location')]);
    expect(log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
  });

  it('tries no more once it is closed', async () => {
    expect(port.isReady()).toBe(false);
    await until(() => port.connectionState().lastFailure !== undefined, { everyMs: 5, what: 'the refusal' });
    const closed = port.close();
    clock.advance(2 * SECURITY_BACKOFF_MS);
    await closed;
    expect(port.isReady()).toBe(false);
    await expect(port.fetchMetadata(['t'])).rejects.toThrow('closed');
    expect(server.connections).toBe(1);
  });
});
