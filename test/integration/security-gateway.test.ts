import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { TailSession } from '../../src/features/tail/tail-session.ts';
import { requireSecurity } from '../../src/kafka/security/security.ts';
import { parseProducerConfig } from '../../src/producer/config/config.ts';
import { startFleet } from '../support/fleets.ts';
import { TestGateway } from '../support/gateway.ts';
import { keepsScramUsers } from '../support/kafka-release.ts';
import { PASSWORD, SecureKafka, USER } from '../support/secure-kafka.ts';
import { sluice } from '../support/sluice-command.ts';
import { until } from '../support/until.ts';

let kafka: SecureKafka;
let passwordFile: string;

beforeAll(async () => {
  kafka = await SecureKafka.start();
  passwordFile = join(kafka.ca.folder, 'kafka-password');
}, 120_000);

afterAll(async () => {
  await kafka.stop();
});

const listener = keepsScramUsers() ? 'SCRAM' : 'PASSWORD';

const settings = () => ({
  'sasl.username': USER,
  'sasl.password': `\${file:${passwordFile}}`,
  ...(listener === 'SCRAM'
    ? {
        'security.protocol': 'SASL_SSL',
        'sasl.mechanism': 'SCRAM-SHA-512',
        'ssl.truststore.location': kafka.ca.file,
      }
    : { 'security.protocol': 'SASL_PLAINTEXT', 'sasl.mechanism': 'PLAIN' }),
});

it('a gateway gets in with a password that is put right meanwhile, says what is wrong until then, and shows no secret', async () => {
  writeFileSync(passwordFile, 'not-the-password\n');
  const gateway = await TestGateway.start({
    config: JSON.stringify({
      kafka: {
        'bootstrap.servers': kafka.address(listener),
        ...settings(),
        topics: { partitions: 4 },
      },
      log: { level: 'debug', format: 'json' },
    }),
  });
  try {
    const reasonOf = async (condition: string): Promise<string> =>
      (await gateway.readiness()).conditions.find(({ name }) => name === condition)?.reason ?? '';
    const { fleet, ledger } = startFleet(gateway, {
      devices: 5,
      rate: 50,
      qos: 1,
      count: 100,
    });
    for (const name of ['kafka', 'topics']) {
      await until(async () => (await reasonOf(name)).includes('refused our login'), {
        what: `the condition ${name} to say why`,
      });
      expect(await reasonOf(name)).toContain('check user and password');
    }
    expect(await gateway.metric('sluice_deliveries_acknowledged_total')).toBe(0);

    writeFileSync(passwordFile, `${PASSWORD}\n`);
    await gateway.untilReady(90_000);
    expect(await fleet.done()).toMatchObject({ sent: 100, unacknowledged: 0 });
    const acknowledged = [...ledger.accounts().values()].flatMap((account) => account.acknowledged);
    expect(acknowledged).toHaveLength(100);

    let seen = 0;
    const session = new TailSession({
      bootstrapServers: [kafka.address(listener)],
      security: requireSecurity(parseProducerConfig(settings()).config),
      topics: ['telemetry'],
      fromBeginning: true,
      clock: systemClock,
      logger: silentLogger,
      onNote() {},
      onRecord() {
        if (++seen === 100) session.stop();
      },
    });
    await session.run();

    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    const readyz = JSON.stringify(await gateway.readiness());
    expect(await gateway.stop()).toBe(0);
    for (const secret of ['not-the-password', PASSWORD, JSON.stringify(PASSWORD).slice(1, -1)]) {
      expect(gateway.output + metrics + readyz).not.toContain(secret);
    }
  } finally {
    if (!gateway.exited) await gateway.stop();
  }
}, 180_000);

it('a drill logs in as the gateway does, verifies the brokers, and passes: TLS ends at its wire', async () => {
  writeFileSync(passwordFile, `${PASSWORD}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-secure-drill-'));
  try {
    const config = {
      kafka: {
        'bootstrap.servers': kafka.address(listener),
        ...settings(),
        producer: { 'request.timeout.ms': 1500 },
        topics: { partitions: 2 },
      },
      profiles: resolve(import.meta.dirname, '../../devices'),
    };
    writeFileSync(join(folder, 'sluice.yaml'), JSON.stringify(config));
    const small = ['--devices', '5', '--rate', '50', '--seconds', '1'];
    const { status, stdout, stderr } = await sluice(
      'drill',
      '--config',
      join(folder, 'sluice.yaml'),
      ...small,
    );
    expect(status, stdout + stderr).toBe(0);
    expect(stdout).toContain('PASSED');
    expect(stdout + stderr).not.toContain(PASSWORD);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
