import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import { BrokerConnection } from '../../../src/kafka/connection/broker-connection.ts';
import { ClusterPort } from '../../../src/kafka/connection/cluster-port.ts';
import { requireSecurity } from '../../../src/kafka/security/security.ts';
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

describe('a connection to a broker that is not trusted', () => {
  it('is tried again at a calm pace, however often somebody asks for it, and complained of once', async () => {
    const clock = new ManualClock();
    const log = new LogLines();
    const { config } = parseProducerConfig({ 'security.protocol': 'SSL' });
    const pauses: number[] = [];
    const connection = new BrokerConnection({
      host: '127.0.0.1',
      port: server.port,
      channel: {
        clientId: 'test',
        connectTimeoutMs: 5_000,
        requestTimeoutMs: 5_000,
        security: requireSecurity(config),
        clock,
      },
      logger: log,
      maxIdleMs: 540_000,
      backoffMs: () => 50,
      securityBackoffMs(failures) {
        pauses.push(failures);
        return 5_000 * failures;
      },
      onChange() {},
    });
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 10; i++) connection.current();
      await until(() => pauses.length === round, { everyMs: 5, what: `failure ${round}` });
      clock.advance(5_000 * round - 1);
      for (let i = 0; i < 10; i++) connection.current();
      await expect(connection.connect()).rejects.toMatchObject({ code: 'KAFKA_CERTIFICATE_UNTRUSTED' });
      expect(server.connections).toBe(round);
      clock.advance(1);
    }
    expect(pauses).toEqual([1, 2, 3]);
    expect(log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    await connection.close();
  });
});

describe('a broker that ends each connection', () => {
  it('is tried again after reconnect.backoff.ms, doubled up to reconnect.backoff.max.ms', async () => {
    let accepted = 0;
    const deaf = createTcpServer((socket) => {
      accepted++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
    const { port } = deaf.address() as AddressInfo;
    const clock = new ManualClock();
    const { config } = parseProducerConfig({
      'reconnect.backoff.ms': 100,
      'reconnect.backoff.max.ms': 1_000,
    });
    // A random number of 0.5 means no jitter.
    const cluster = new ClusterPort({ config, clock, logger: silentLogger, random: () => 0.5 });
    let changes = 0;
    cluster.onReadinessChange = () => changes++;
    cluster.setBrokers([{ nodeId: 1, host: '127.0.0.1', port }]);

    const pauses: number[] = [];
    for (const pauseMs of [100, 200, 400, 800, 1_000, 1_000]) {
      changes = 0;
      expect(cluster.isReady(1)).toBe(false);
      await until(() => changes > 0, { everyMs: 5, what: 'the attempt to fail' });
      clock.advance(pauseMs - 1);
      for (let i = 0; i < 5; i++) expect(cluster.isReady(1)).toBe(false);
      clock.advance(1);
      pauses.push(accepted);
    }
    expect(pauses).toEqual([1, 2, 3, 4, 5, 6]);
    await cluster.close();
    deaf.close();
  });
});
