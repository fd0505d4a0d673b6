import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BrokerConnection } from '../../src/kafka/broker-connection.ts';
import { requireSecurity } from '../../src/kafka/security/security.ts';
import { parseProducerConfig } from '../../src/producer/config.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { ManualClock } from '../fleet/manual-clock.ts';
import { LogLines } from '../support/log-lines.ts';
import { until } from '../support/until.ts';

let ca: CertificateAuthority;
let server: Server;
let attempts = 0;

beforeAll(async () => {
  ca = new CertificateAuthority();
  const { file } = ca.issue('broker', { subjectAltName: 'IP:127.0.0.1' });
  const pem = readFileSync(file, 'utf8');
  server = createServer({ cert: pem, key: pem });
  server.on('connection', () => attempts++).on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(() => {
  server.close();
  ca.remove();
});

describe('a connection to a broker that is not trusted', () => {
  it('is tried again at a calm pace, however often somebody asks for it, and complained of once', async () => {
    const clock = new ManualClock();
    const log = new LogLines();
    const { config } = parseProducerConfig({ 'security.protocol': 'SSL' });
    const pauses: number[] = [];
    const connection = new BrokerConnection({
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      wire: {
        clientId: 'test',
        connectTimeoutMs: 5_000,
        requestTimeoutMs: 5_000,
        security: requireSecurity(config),
      },
      clock,
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
      expect(attempts).toBe(round);
      clock.advance(1);
    }
    expect(pauses).toEqual([1, 2, 3]);
    expect(log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    await connection.close();
  });
});
