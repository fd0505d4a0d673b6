import { findFreePorts } from '../../src/testbed/local-kafka/ports.ts';
import { CertificateAuthority, type IssuedCertificate } from './certificates.ts';
import { keepsScramUsers } from './kafka-release.ts';
import { startKafka, type TestKafka } from './kafka.ts';

/** The listeners of {@link SecureKafka}, by what they want of a client. */
const LISTENERS = {
  /** TLS. */
  TLS: 'SSL',
  /** TLS, and a certificate of the client's. */
  MUTUAL: 'SSL',
  /** TLS with a certificate for somebody else. */
  STRANGER: 'SSL',
  /** TLS with a certificate that has expired. */
  EXPIRED: 'SSL',
  /** SASL_PLAINTEXT, PLAIN. */
  PASSWORD: 'SASL_PLAINTEXT',
  /** The same, but a login lasts two seconds. */
  BRIEF: 'SASL_PLAINTEXT',
  /** SASL_SSL, SCRAM-SHA-256 and SCRAM-SHA-512. */
  SCRAM: 'SASL_SSL',
  /** SASL_PLAINTEXT, OAUTHBEARER with unsigned tokens. */
  TOKEN: 'SASL_PLAINTEXT',
} as const;

export type SecureListener = keyof typeof LISTENERS;

/** Of every user of every listener. */
export const USER = 'alice';
export const PASSWORD = 'alice "the" secret';
export const LOGIN_LASTS_MS = 2_000;

/** A real Kafka with a listener for each way of being secure, besides its plain one. */
export class SecureKafka {
  readonly kafka: TestKafka;
  readonly ca: CertificateAuthority;
  /** For clients, and trusted by MUTUAL. */
  readonly clientCertificate: IssuedCertificate;
  readonly #ports: ReadonlyMap<SecureListener, number>;

  private constructor(
    kafka: TestKafka,
    ca: CertificateAuthority,
    clientCertificate: IssuedCertificate,
    ports: ReadonlyMap<SecureListener, number>,
  ) {
    this.kafka = kafka;
    this.ca = ca;
    this.clientCertificate = clientCertificate;
    this.#ports = ports;
  }

  static async start(): Promise<SecureKafka> {
    const ca = new CertificateAuthority();
    const names = Object.keys(LISTENERS) as SecureListener[];
    const free = await findFreePorts(names.length);
    const ports = new Map(names.map((name, index) => [name, free[index]!]));
    const kafka = await startKafka({
      properties: ({ port, controllerPort }) => properties(port, controllerPort, ports, ca),
    });
    for (const mechanism of keepsScramUsers() ? ['SCRAM-SHA-256', 'SCRAM-SHA-512'] : []) {
      await kafka.tools.run('kafka.admin.ConfigCommand', [
        ...[
          '--bootstrap-server',
          kafka.bootstrapServers,
          '--alter',
          '--entity-type',
          'users',
          '--entity-name',
          USER,
        ],
        ...['--add-config', `${mechanism}=[iterations=4096,password=${PASSWORD}]`],
      ]);
    }
    return new SecureKafka(kafka, ca, ca.issue('gateway'), ports);
  }

  /** `127.0.0.1:<port>` of a listener. */
  address(listener: SecureListener): string {
    return `127.0.0.1:${this.#ports.get(listener)!}`;
  }

  async stop(): Promise<void> {
    await this.kafka.stop();
    this.ca.remove();
  }
}

function properties(
  port: number,
  controllerPort: number,
  ports: ReadonlyMap<SecureListener, number>,
  ca: CertificateAuthority,
): Record<string, string | number> {
  const listeners = [['PLAINTEXT', port] as const, ...ports];
  const urls = listeners.map(([name, at]) => `${name}://127.0.0.1:${at}`);
  const map = [
    'CONTROLLER:PLAINTEXT',
    'PLAINTEXT:PLAINTEXT',
    ...Object.entries(LISTENERS).map((pair) => pair.join(':')),
  ];
  const keystores = {
    tls: ca.issue('broker', { subjectAltName: 'IP:127.0.0.1' }),
    stranger: ca.issue('stranger', { subjectAltName: 'DNS:kafka.example.com' }),
    expired: ca.issue('expired', { subjectAltName: 'IP:127.0.0.1', days: -1 }),
  };
  const tls = (listener: string, { file }: IssuedCertificate) => ({
    [`listener.name.${listener}.ssl.keystore.type`]: 'PEM',
    [`listener.name.${listener}.ssl.keystore.location`]: file,
    [`listener.name.${listener}.ssl.truststore.type`]: 'PEM',
    [`listener.name.${listener}.ssl.truststore.location`]: ca.file,
  });
  const module = 'org.apache.kafka.common.security';
  const passwords = `${module}.plain.PlainLoginModule required user_${USER}="${quoted(PASSWORD)}";`;
  return {
    listeners: [...urls, `CONTROLLER://127.0.0.1:${controllerPort}`].join(','),
    'advertised.listeners': urls.join(','),
    'listener.security.protocol.map': map.join(','),
    'num.network.threads': 1,
    ...tls('tls', keystores.tls),
    ...tls('mutual', keystores.tls),
    ...tls('scram', keystores.tls),
    ...tls('stranger', keystores.stranger),
    ...tls('expired', keystores.expired),
    'listener.name.mutual.ssl.client.auth': 'required',
    'listener.name.password.sasl.enabled.mechanisms': 'PLAIN',
    'listener.name.password.plain.sasl.jaas.config': passwords,
    'listener.name.brief.sasl.enabled.mechanisms': 'PLAIN',
    'listener.name.brief.plain.sasl.jaas.config': passwords,
    'listener.name.brief.plain.connections.max.reauth.ms': LOGIN_LASTS_MS,
    'listener.name.scram.sasl.enabled.mechanisms': 'SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.scram.scram-sha-256.sasl.jaas.config': `${module}.scram.ScramLoginModule required;`,
    'listener.name.scram.scram-sha-512.sasl.jaas.config': `${module}.scram.ScramLoginModule required;`,
    'listener.name.token.sasl.enabled.mechanisms': 'OAUTHBEARER',
    'listener.name.token.oauthbearer.sasl.jaas.config': `${module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
  };
}

/** A value for the inside of quotation marks in sasl.jaas.config. */
export function quoted(text: string): string {
  return text.replaceAll(/["\\]/g, '\\$&');
}
