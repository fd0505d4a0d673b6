import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientSecurity } from '../../../src/kafka/security/security.ts';
import { parseProducerConfig } from '../../../src/producer/config/config.ts';
import { CertificateAuthority, type IssuedCertificate } from '../../support/certificates.ts';

const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule';

let folder: string;
let ca: CertificateAuthority;
let own: IssuedCertificate;
let other: IssuedCertificate;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-security-'));
  ca = new CertificateAuthority();
  own = ca.issue('gateway');
  other = ca.issue('other', { password: 'opensesame' });
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  ca.remove();
});

function write(name: string, content: string | Buffer): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

function made(settings: Record<string, unknown>, environment: Record<string, string> = {}) {
  const { config, faults: parsing } = parseProducerConfig(settings);
  const { security, faults } = clientSecurity(config, {
    folder,
    environment,
    wallMs: () => 0,
    monotonicMs: () => 0,
  });
  const lines = [...parsing, ...faults].map(
    ({ path, found, expected }) => `${path.join('.')}: found ${found}, expected ${expected}`,
  );
  return { config, security, faults: lines };
}

const tls = (settings: Record<string, unknown> = {}) => ({
  'security.protocol': 'SSL',
  'ssl.truststore.location': ca.file,
  ...settings,
});
const sasl = (settings: Record<string, unknown>) => ({
  'security.protocol': 'SASL_PLAINTEXT',
  'sasl.mechanism': 'SCRAM-SHA-256',
  ...settings,
});

describe('security of a client', () => {
  it('is in the clear where nothing is said', () => {
    expect(made({})).toMatchObject({ faults: [], security: { tls: undefined, sasl: undefined } });
  });

  it('checks certificates and host names, and sends the name along, unless told otherwise', () => {
    const { security } = made(tls());
    expect(security.tls?.('broker-1')).toMatchObject({ servername: 'broker-1', rejectUnauthorized: true });
    expect(security.tls?.('broker-1')).not.toHaveProperty('checkServerIdentity');
    expect(security.tls?.('127.0.0.1')).not.toHaveProperty('servername');
    for (const value of ['', 'none']) {
      const loose = made(tls({ 'ssl.endpoint.identification.algorithm': value })).security.tls?.('broker-1');
      expect(loose).toMatchObject({ rejectUnauthorized: true });
      expect(loose).toHaveProperty('checkServerIdentity');
    }
    const modern = made(tls({ 'ssl.enabled.protocols': 'TLSv1.3' })).security.tls?.('b');
    expect(modern).toMatchObject({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
  });

  it('takes certificates and keys from files, from variables, and from text that lost its line breaks', () => {
    const folded = (pem: string): string => pem.trim().replaceAll('\n', ' ');
    const { faults, security } = made(
      {
        'security.protocol': 'SSL',
        'ssl.truststore.certificates': `\${file:${ca.file}}`,
        'ssl.keystore.certificate.chain': '${env:CERTIFICATE}',
        'ssl.keystore.key': folded(own.key),
      },
      { CERTIFICATE: folded(own.certificate) },
    );
    expect(faults).toEqual([]);
    const options = security.tls?.('b');
    expect(options).toMatchObject({ key: own.key.trim(), cert: own.certificate.trim() });
  });

  it('uses a renewed file from the next connection on', () => {
    const file = write('renewed.pem', own.certificate + own.key);
    const { security } = made(tls({ 'ssl.keystore.location': file }));
    const renewed = ca.issue('renewed');
    writeFileSync(file, renewed.certificate + renewed.key);
    expect(security.tls?.('b')).toMatchObject({ key: renewed.key.trim() });
  });

  it('finds relative paths from the folder of the configuration', () => {
    write('beside.pem', own.certificate);
    expect(made(tls({ 'ssl.truststore.location': 'beside.pem' })).faults).toEqual([]);
  });

  it.each<[string, () => Record<string, unknown>, RegExp]>([
    ['no such file', () => tls({ 'ssl.truststore.location': 'nowhere.pem' }), /found no file .*nowhere\.pem/],
    [
      'an empty truststore',
      () => tls({ 'ssl.truststore.location': write('empty.pem', '') }),
      /ssl\.truststore\.location: found no certificate in it/,
    ],
    [
      'a truststore of Java',
      () => tls({ 'ssl.truststore.location': write('trust.jks', Buffer.from('feedfeed00000002', 'hex')) }),
      /Java keystore \(JKS\).*keytool -list -rfc -keystore .*trust\.jks > ca\.pem/,
    ],
    [
      'a truststore in PKCS12',
      () => tls({ 'ssl.truststore.location': ca.pkcs12(own, 'changeit') }),
      /PKCS12 store.*keytool -list -rfc/,
    ],
    [
      'a keystore of Java',
      () => tls({ 'ssl.keystore.location': write('key.jks', Buffer.from('feedfeed00000002', 'hex')) }),
      /keytool -importkeystore .*-deststoretype PKCS12/,
    ],
    [
      'a wrong password of a keystore',
      () =>
        tls({ 'ssl.keystore.location': ca.pkcs12(own, 'changeit'), 'ssl.keystore.password': 'top-secret' }),
      /ssl\.keystore\.password: found not the password of the keystore/,
    ],
    [
      'an encrypted key without its password',
      () => tls({ 'ssl.keystore.location': other.file }),
      /ssl\.key\.password: found nothing, and the key is encrypted/,
    ],
    [
      'an encrypted key with another password',
      () => tls({ 'ssl.keystore.location': other.file, 'ssl.key.password': 'top-secret' }),
      /ssl\.key\.password: found not the password of the key/,
    ],
    [
      'a key of another certificate',
      () => tls({ 'ssl.keystore.certificate.chain': other.certificate, 'ssl.keystore.key': own.key }),
      /ssl\.keystore\.key: found a key that is not the certificate’s/,
    ],
    [
      'a certificate without a key',
      () => tls({ 'ssl.keystore.certificate.chain': own.certificate }),
      /ssl\.keystore\.key: found nothing/,
    ],
    [
      'certificates without TLS',
      () => ({ 'ssl.truststore.location': ca.file }),
      /security\.protocol: found PLAINTEXT, expected SSL, because of ssl\.truststore\.location/,
    ],
    [
      'a login without SASL',
      () => ({ 'security.protocol': 'SSL', 'sasl.username': 'alice', 'sasl.password': 'top-secret' }),
      /security\.protocol: found SSL, expected SASL_SSL, because of sasl\.username, sasl\.password/,
    ],
    [
      'SASL without a mechanism',
      () => sasl({ 'sasl.mechanism': undefined }),
      /sasl\.mechanism: found nothing/,
    ],
    [
      'a mechanism that is not supported',
      () => sasl({ 'sasl.mechanism': 'GSSAPI' }),
      /sasl\.mechanism: found 'GSSAPI'/,
    ],
    ['SASL without credentials', () => sasl({}), /sasl\.username: found nothing.*ScramLoginModule/],
    [
      'a module of another mechanism',
      () => sasl({ 'sasl.jaas.config': 'a.PlainLoginModule required username="a" password="top-secret";' }),
      /found the login module PlainLoginModule, expected ScramLoginModule/,
    ],
    [
      'no password in the login',
      () => sasl({ 'sasl.jaas.config': `${SCRAM} required username="alice";` }),
      /sasl\.jaas\.config: found no password/,
    ],
    [
      'credentials in two places',
      () =>
        sasl({
          'sasl.jaas.config': `${SCRAM} required username="a" password="top-secret";`,
          'sasl.password': 'top-secret',
        }),
      /expected one place/,
    ],
    [
      'a variable that is not set',
      () => sasl({ 'sasl.username': 'alice', 'sasl.password': '${env:KAFKA_PASSWORD}' }),
      /sasl\.password: found no variable KAFKA_PASSWORD/,
    ],
    [
      'a key that a file does not have',
      () =>
        sasl({
          'sasl.username': 'alice',
          'sasl.password': `\${file:${write('other.properties', 'user=alice\n')}:password}`,
        }),
      /sasl\.password: found no key password in/,
    ],
    [
      'a password that is a number',
      () => sasl({ 'sasl.username': 'a', 'sasl.password': 815 }),
      /a text, in quotes/,
    ],
    [
      'no source of tokens',
      () => sasl({ 'sasl.mechanism': 'OAUTHBEARER' }),
      /sasl\.oauthbearer\.token\.endpoint\.url: found nothing/,
    ],
    [
      'an endpoint without a secret',
      () =>
        sasl({
          'sasl.mechanism': 'OAUTHBEARER',
          'sasl.oauthbearer.token.endpoint.url': 'https://login.example.com/token',
          'sasl.oauthbearer.client.credentials.client.id': 'gateway',
        }),
      /client\.secret: found nothing/,
    ],
    [
      "librdkafka's name for the CA",
      () => ({ 'ssl.ca.location': ca.file }),
      /ssl\.ca\.location: .*it is called 'ssl\.truststore\.location'/,
    ],
    [
      'a misspelt name with a secret under it',
      () => ({ 'sasl.pasword': 'top-secret', 'ssl.key.pass': 'top-secret', jaas: 'top-secret' }),
      /sasl\.pasword: found a value \(hidden\).*did you mean 'sasl\.password'/,
    ],
  ])('names what is wrong, and no secret: %s', (_, settings, expected) => {
    const { faults } = made(settings());
    expect(faults.join('\n')).toMatch(expected);
    expect(faults.join('\n')).not.toContain('top-secret');
  });

  it('reads credentials from variables, files and properties, quotation marks and all, anew at each login', () => {
    const file = write('password', 'pa"ss\\word\n');
    const properties = write('kafka.properties', '# ours\nuser = alice\npassword: pa\\:ss\n');
    const jaas = (password: string): string =>
      `${SCRAM} required username="\${env:WHO}" password="${password}";`;
    const credentials = (settings: Record<string, unknown>) => {
      const { faults, security } = made(sasl(settings), { WHO: 'alice' });
      expect(faults).toEqual([]);
      if (security.sasl === undefined || security.sasl.mechanism === 'OAUTHBEARER')
        throw new Error('no login');
      return security.sasl;
    };
    const byFile = credentials({ 'sasl.jaas.config': jaas(`\${file:${file}}`) });
    expect(byFile.credentials()).toEqual({ username: 'alice', password: 'pa"ss\\word' });
    writeFileSync(file, 'renewed');
    expect(byFile.credentials().password).toBe('renewed');
    expect(
      credentials({ 'sasl.jaas.config': jaas(`\${file:${properties}:password}`) }).credentials(),
    ).toEqual({
      username: 'alice',
      password: 'pa:ss',
    });
    expect(
      credentials({ 'sasl.username': `\${file:${properties}:user}`, 'sasl.password': '12$34' }).credentials(),
    ).toEqual({ username: 'alice', password: '12$34' });
  });

  it('keeps secrets out of everything that is printed or serialized', () => {
    const { config, security } = made({
      ...sasl({ 'sasl.jaas.config': `${SCRAM} required username="alice" password="top-secret";` }),
      'security.protocol': 'SASL_SSL',
      'ssl.key.password': 'top-secret',
      'ssl.keystore.key': 'top-secret',
    });
    for (const value of [config, security]) {
      expect(JSON.stringify(value)).not.toContain('top-secret');
      expect(inspect(value, { depth: 10, showHidden: true })).not.toContain('top-secret');
    }
    expect(String(config.saslJaasConfig)).toBe('(hidden)');
  });
});
