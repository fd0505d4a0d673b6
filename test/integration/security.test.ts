import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAdmin } from '../../src/kafka/clients/kafkajs.ts';
import { securityFailure } from '../../src/kafka/security/failure.ts';
import { requireSecurity, type ClientSecurity } from '../../src/kafka/security/security.ts';
import { parseProducerConfig } from '../../src/producer/config/config.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { keepsScramUsers } from '../support/kafka-release.ts';
import { LogLines } from '../support/log-lines.ts';
import { readTopic, startProducer } from '../support/producer.ts';
import { RecordLoad } from '../support/record-load.ts';
import {
  LOGIN_LASTS_MS,
  PASSWORD,
  quoted,
  SecureKafka,
  USER,
  type SecureListener,
} from '../support/secure-kafka.ts';
import { createTopics } from '../support/topics.ts';
import { until } from '../support/until.ts';

type Settings = Readonly<Record<string, string>>;

const PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule';
const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule';
const BEARER = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule';

const login = (module: string, password = PASSWORD): Settings => ({
  'sasl.jaas.config': `${module} required username="${USER}" password="${quoted(password)}";`,
});

let kafka: SecureKafka;
let trusted: Settings;
let tokens: { readonly server: Server; readonly url: string; readonly requests: string[] };

beforeAll(async () => {
  kafka = await SecureKafka.start();
  trusted = { 'ssl.truststore.type': 'PEM', 'ssl.truststore.location': kafka.ca.file };
  tokens = await startTokenEndpoint();
}, 120_000);

afterAll(async () => {
  tokens.server.close();
  await kafka.stop();
});

/** What an OAuth 2 server does for client credentials, with tokens that Kafka takes where it is set up to test. */
async function startTokenEndpoint(): Promise<typeof tokens> {
  const requests: string[] = [];
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const server = createServer((request, response) => {
    const who = Buffer.from(request.headers.authorization?.split(' ')[1] ?? '', 'base64').toString();
    requests.push(who);
    const nowS = Math.floor(Date.now() / 1_000);
    const token = `${encode({ alg: 'none' })}.${encode({ sub: 'gateway', iat: nowS, exp: nowS + 600 })}.`;
    const isKnown = who === 'gateway:s3cret';
    response.writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(isKnown ? { access_token: token, expires_in: 600 } : { error: 'invalid_client' }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?realm=1`,
    requests,
  };
}

function securityOf(settings: Settings): ClientSecurity {
  const { config, faults } = parseProducerConfig(settings);
  expect(faults).toEqual([]);
  return requireSecurity(config);
}

const withKeystore = (): Settings => ({ ...trusted, 'ssl.keystore.location': kafka.clientCertificate.file });

const WAYS: readonly (readonly [string, SecureListener, () => Settings])[] = [
  ['TLS', 'TLS', () => ({ 'security.protocol': 'SSL', ...trusted })],
  ['mutual TLS with a PEM file', 'MUTUAL', () => ({ 'security.protocol': 'SSL', ...withKeystore() })],
  [
    'mutual TLS with a PKCS12 keystore',
    'MUTUAL',
    () => ({
      'security.protocol': 'SSL',
      ...trusted,
      'ssl.keystore.type': 'PKCS12',
      'ssl.keystore.location': kafka.ca.pkcs12(kafka.clientCertificate, 'changeit'),
      'ssl.keystore.password': 'changeit',
    }),
  ],
  [
    'mutual TLS with a key and certificates as text, the key encrypted',
    'MUTUAL',
    () => {
      const { certificate, key } = kafka.ca.issue('textual', { password: 'opensesame' });
      return {
        'security.protocol': 'SSL',
        'ssl.truststore.certificates': `\${file:${kafka.ca.file}}`,
        'ssl.keystore.certificate.chain': certificate,
        'ssl.keystore.key': key.trim(),
        'ssl.key.password': 'opensesame',
      };
    },
  ],
  [
    'SASL_PLAINTEXT, PLAIN',
    'PASSWORD',
    () => ({ 'security.protocol': 'SASL_PLAINTEXT', 'sasl.mechanism': 'PLAIN', ...login(PLAIN) }),
  ],
  [
    'SASL_SSL, SCRAM-SHA-256',
    'SCRAM',
    () => ({
      'security.protocol': 'SASL_SSL',
      'sasl.mechanism': 'SCRAM-SHA-256',
      ...trusted,
      ...login(SCRAM),
    }),
  ],
  [
    'SASL_SSL, SCRAM-SHA-512',
    'SCRAM',
    () => ({
      'security.protocol': 'SASL_SSL',
      'sasl.mechanism': 'SCRAM-SHA-512',
      ...trusted,
      ...login(SCRAM),
    }),
  ],
  [
    'OAUTHBEARER with an unsigned token',
    'TOKEN',
    () => ({
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'OAUTHBEARER',
      'sasl.jaas.config': `${BEARER} required unsecuredLoginStringClaim_sub="gateway" extension_pool="one";`,
    }),
  ],
  [
    'OAUTHBEARER with a token from an endpoint',
    'TOKEN',
    () => ({
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'OAUTHBEARER',
      'sasl.oauthbearer.token.endpoint.url': tokens.url,
      'sasl.jaas.config': `${BEARER} required clientId="gateway" clientSecret="s3cret";`,
    }),
  ],
];

describe('a Kafka that wants to know its clients', () => {
  it.each(WAYS.filter(([, listener]) => listener !== 'SCRAM' || keepsScramUsers()))(
    'is produced to, administered and read: %s',
    async (name, listener, settings) => {
      const given = settings();
      const security = securityOf(given);
      const servers = kafka.address(listener);
      const topic = name.replaceAll(/[^A-Za-z0-9]+/g, '-');

      const admin = createAdmin({
        bootstrapServers: [servers],
        clientId: 'test',
        logger: new LogLines(),
        security,
      });
      await admin.connect();
      await createTopics(admin, [{ topic, numPartitions: 2 }]);
      await admin.disconnect();

      const producer = startProducer(servers, { ...given, 'linger.ms': 5 });
      const load = new RecordLoad(producer, topic, 10);
      await load.run(500);
      expect(await producer.close(30_000)).toEqual([]);
      expect(load.judge(await readTopic(servers, topic, security))).toEqual([]);
      expect(load.acknowledged).toBe(500);
    },
  );

  it('takes one token from the endpoint for many connections', () => {
    // Admin, producer and consumer of the test before had a provider each at most.
    expect(tokens.requests.length).toBeLessThanOrEqual(3);
  });

  it('is produced to across the ends of logins, which are renewed in time, without one failed request', async () => {
    const settings = {
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'PLAIN',
      ...login(PLAIN),
    };
    await kafka.kafka.tools.createTopic('renewed');
    const producer = startProducer(kafka.address('BRIEF'), { ...settings, 'linger.ms': 0 });
    const load = new RecordLoad(producer, 'renewed', 10);
    const endMs = performance.now() + 2.5 * LOGIN_LASTS_MS;
    await until(
      async () => {
        await load.run(load.appended + 20);
        return performance.now() > endMs;
      },
      { everyMs: 5, what: 'two logins to end' },
    );
    expect(await producer.close(30_000)).toEqual([]);
    expect(producer.stats.requestErrorTotal).toBe(0);
    expect(producer.stats.recordRetryTotal).toBe(0);
    expect(load.acknowledged).toBe(load.appended);
  });
});

/** Ways not to get in: what readiness then says, and under which code. */
const REFUSALS: readonly (readonly [string, SecureListener, () => Settings, string, RegExp])[] = [
  [
    'a wrong password, PLAIN',
    'PASSWORD',
    () => ({
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'PLAIN',
      ...login(PLAIN, 'wrong-one'),
    }),
    'KAFKA_AUTHENTICATION_FAILED',
    /refused our login .*check user and password/,
  ],
  [
    'a wrong password, SCRAM',
    'SCRAM',
    () => ({
      'security.protocol': 'SASL_SSL',
      'sasl.mechanism': 'SCRAM-SHA-512',
      ...trusted,
      ...login(SCRAM, 'wrong-one'),
    }),
    'KAFKA_AUTHENTICATION_FAILED',
    /refused our login .*check user and password/,
  ],
  [
    'a token that the broker does not take',
    'TOKEN',
    () => {
      const file = join(kafka.ca.folder, 'token');
      writeFileSync(file, 'wrong-one.e30.\n');
      return {
        'security.protocol': 'SASL_PLAINTEXT',
        'sasl.mechanism': 'OAUTHBEARER',
        'sasl.oauthbearer.token.endpoint.url': `file://${file}`,
      };
    },
    'KAFKA_AUTHENTICATION_FAILED',
    /refused our login/,
  ],
  [
    'an endpoint that gives no token',
    'TOKEN',
    () => ({
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'OAUTHBEARER',
      'sasl.oauthbearer.token.endpoint.url': tokens.url,
      'sasl.oauthbearer.client.credentials.client.id': 'gateway',
      'sasl.oauthbearer.client.credentials.client.secret': 'wrong-one',
    }),
    'KAFKA_TOKEN_UNAVAILABLE',
    /HTTP 401: invalid_client/,
  ],
  [
    'a mechanism that the listener does not offer',
    'PASSWORD',
    () => ({ 'security.protocol': 'SASL_PLAINTEXT', 'sasl.mechanism': 'SCRAM-SHA-256', ...login(SCRAM) }),
    'KAFKA_SASL_MECHANISM_REFUSED',
    /sasl\.enabled\.mechanisms/,
  ],
  [
    'no login where one is wanted',
    'PASSWORD',
    () => ({ 'security.protocol': 'PLAINTEXT' }),
    'KAFKA_SASL_REQUIRED',
    /security\.protocol/,
  ],
  [
    'a CA that is not ours',
    'TLS',
    () => ({ 'security.protocol': 'SSL' }),
    'KAFKA_CERTIFICATE_UNTRUSTED',
    /ssl\.truststore\.location/,
  ],
  [
    'a certificate that has expired',
    'EXPIRED',
    () => ({ 'security.protocol': 'SSL', ...trusted }),
    'KAFKA_CERTIFICATE_EXPIRED',
    /renew it at the broker/,
  ],
  [
    'a certificate for another host',
    'STRANGER',
    () => ({ 'security.protocol': 'SSL', ...trusted }),
    'KAFKA_CERTIFICATE_HOST_MISMATCH',
    /kafka\.example\.com.*ssl\.endpoint\.identification\.algorithm/,
  ],
  [
    'no certificate where the broker wants one',
    'MUTUAL',
    () => ({ 'security.protocol': 'SSL', ...trusted }),
    'KAFKA_CLIENT_CERTIFICATE_REFUSED',
    /ssl\.keystore\.location/,
  ],
  [
    'a certificate of a CA that the broker does not know',
    'MUTUAL',
    () => ({ 'security.protocol': 'SSL', ...trusted, 'ssl.keystore.location': foreignCertificate() }),
    'KAFKA_CLIENT_CERTIFICATE_REFUSED',
    /ssl\.keystore\.location/,
  ],
  [
    'plaintext to a port that speaks TLS',
    'TLS',
    () => ({ 'security.protocol': 'PLAINTEXT' }),
    'KAFKA_TLS_REQUIRED',
    /set security\.protocol to SSL/,
  ],
  [
    'TLS to a port that does not speak it',
    'PASSWORD',
    () => ({ 'security.protocol': 'SASL_SSL', 'sasl.mechanism': 'PLAIN', ...trusted, ...login(PLAIN) }),
    'KAFKA_TLS_NOT_SPOKEN',
    /SASL_PLAINTEXT/,
  ],
];

function foreignCertificate(): string {
  const other = new CertificateAuthority('Another CA');
  const { file, certificate, key } = other.issue('foreigner');
  const copy = join(kafka.ca.folder, 'foreigner.pem');
  writeFileSync(copy, certificate + key);
  other.remove();
  expect(file).not.toBe(copy);
  return copy;
}

async function untilRefused(producer: Producer): Promise<string> {
  await until(() => producer.connectionState().securityFailures.length > 0, { what: 'a refusal' });
  return producer.connectionState().securityFailures.join('\n');
}

describe('a Kafka that does not trust us, or that we do not trust', () => {
  it.each(REFUSALS)(
    'is named with its reason and what to do, and no secret is logged: %s',
    async (_, listener, settings, code, words) => {
      const log = new LogLines();
      const producer = startProducer(kafka.address(listener), { ...settings(), 'retry.backoff.ms': 10 }, log);
      producer.prepare(['refused']);
      const reason = await untilRefused(producer);
      expect(reason).toContain(kafka.address(listener));
      expect(reason).toMatch(words);
      const warnings = log.lines.filter((line) => line.startsWith('warn'));
      expect(warnings[0]).toContain(code);
      await producer.close(0);
      for (const secret of ['wrong-one', PASSWORD, quoted(PASSWORD)]) {
        expect(log.text + reason).not.toContain(secret);
      }
    },
  );

  it.each(REFUSALS.filter(([, , , code]) => code !== 'KAFKA_SASL_REQUIRED' && code !== 'KAFKA_TLS_REQUIRED'))(
    'is explained in the same words by the admin client: %s',
    async (_, listener, settings, code) => {
      const security = securityOf(settings());
      const admin = createAdmin({
        bootstrapServers: [kafka.address(listener)],
        clientId: 'test',
        logger: new LogLines(),
        retries: 0,
        security,
      });
      const error = await admin.connect().then(
        () => admin.listTopics().catch((thrown: unknown) => thrown),
        (thrown: unknown) => thrown,
      );
      await admin.disconnect();
      expect(securityFailure(error, 'a broker', security.protocol)?.code).toBe(code);
    },
  );

  it('lets us in as soon as the password in its file is right, without a restart', async () => {
    const file = join(kafka.ca.folder, 'password');
    writeFileSync(file, 'wrong-one\n');
    await kafka.kafka.tools.createTopic('mended');
    const producer = startProducer(kafka.address('PASSWORD'), {
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'PLAIN',
      'sasl.jaas.config': `${PLAIN} required username="${USER}" password="\${file:${file}}";`,
    });
    const load = new RecordLoad(producer, 'mended', 1);
    const running = load.run(1);
    await untilRefused(producer);
    writeFileSync(file, `${PASSWORD}\n`);
    await running;
    expect(await producer.close(30_000)).toEqual([]);
    expect(producer.connectionState().securityFailures).toEqual([]);
    expect(load.acknowledged).toBe(1);
  });
});
