import { isIP } from 'node:net';
import { createSecureContext, type ConnectionOptions, type SecureContextOptions } from 'node:tls';
import { errorMessage } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import type { SecurityConfig } from '../../producer/config/config-table.ts';
import { followReferences, readNamedFile, SecurityConfigError, type SecuritySources } from './sources.ts';

/**
 * What Node's tls.connect() is to be told for a connection to `host`. Files are read at each call.
 * @throws SecurityConfigError
 */
export function tlsOptions(
  config: SecurityConfig,
  sources: SecuritySources,
  host: string,
): ConnectionOptions {
  const versions = config.sslEnabledProtocols;
  return {
    ...truststore(config, sources),
    ...keystore(config, sources),
    minVersion: versions.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: versions.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
    rejectUnauthorized: true,
    // Server Name Indication carries names only (RFC 6066, section 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(config.sslEndpointIdentificationAlgorithm === '' ? { checkServerIdentity: () => undefined } : {}),
  };
}

/**
 * Has OpenSSL look at certificates and keys before any broker does.
 * @throws SecurityConfigError
 */
export function checkTlsMaterial(config: SecurityConfig, sources: SecuritySources): void {
  const trusted = truststore(config, sources);
  const own = keystore(config, sources);
  try {
    createSecureContext(trusted);
  } catch (error) {
    const kind = config.sslTruststoreLocation === undefined ? 'certificates' : 'location';
    const found = `what OpenSSL can't read (${errorMessage(error)})`;
    throw new SecurityConfigError(`ssl.truststore.${kind}`, found, 'certificates in PEM');
  }
  try {
    createSecureContext(own);
  } catch (error) {
    throw keystoreError(config, error);
  }
}

function truststore(config: SecurityConfig, sources: SecuritySources): SecureContextOptions {
  const { sslTruststoreLocation: location, sslTruststoreCertificates: certificates } = config;
  if (location === undefined) {
    if (certificates === undefined) return {};
    const ca = followReferences('ssl.truststore.certificates', certificates, sources);
    return { ca: certificatesIn('ssl.truststore.certificates', ca) };
  }
  const bytes = readNamedFile('ssl.truststore.location', location, sources);
  if (isBinary(bytes)) {
    const found = `a ${isJks(bytes) ? 'Java keystore (JKS)' : 'PKCS12 store'}, ${location}`;
    const expected = `a PEM file; to make one: keytool -list -rfc -keystore ${location} > ca.pem`;
    throw new SecurityConfigError('ssl.truststore.location', found, expected);
  }
  return { ca: certificatesIn('ssl.truststore.location', bytes.toString('utf8')) };
}

function keystore(config: SecurityConfig, sources: SecuritySources): SecureContextOptions {
  const { sslKeystoreLocation: location, sslKeystoreCertificateChain: chain, sslKeystoreKey: key } = config;
  const secret = (setting: string, value: Secret | undefined): { passphrase?: string } =>
    value === undefined ? {} : { passphrase: followReferences(setting, value.reveal(), sources) };

  if (location === undefined) {
    if (chain === undefined || key === undefined) return {};
    const cert = followReferences('ssl.keystore.certificate.chain', chain, sources);
    return {
      cert: certificatesIn('ssl.keystore.certificate.chain', cert),
      key: keyIn('ssl.keystore.key', followReferences('ssl.keystore.key', key.reveal(), sources)),
      ...secret('ssl.key.password', config.sslKeyPassword),
    };
  }
  const bytes = readNamedFile('ssl.keystore.location', location, sources);
  if (isJks(bytes)) {
    const expected = `PEM or PKCS12; to convert it: keytool -importkeystore -srckeystore ${location} -destkeystore client.p12 -deststoretype PKCS12`;
    throw new SecurityConfigError('ssl.keystore.location', `a Java keystore (JKS), ${location}`, expected);
  }
  // Since Java 9 keytool writes PKCS12, whatever the file's name or the setting's type says.
  if (isBinary(bytes)) return { pfx: bytes, ...secret('ssl.keystore.password', config.sslKeystorePassword) };
  const pem = bytes.toString('utf8');
  return {
    cert: certificatesIn('ssl.keystore.location', pem),
    key: keyIn('ssl.keystore.location', pem),
    ...secret('ssl.key.password', config.sslKeyPassword),
  };
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[^]+?-----END (?:[A-Z]+ )?PRIVATE KEY-----/;

/** The certificates of a PEM text. One without any would mean to OpenSSL that nobody is trusted. */
function certificatesIn(setting: string, pem: string): string {
  const certificates = pem.match(CERTIFICATES);
  if (certificates !== null) return certificates.map((certificate) => lines(certificate)).join('\n');
  throw nothingIn(setting, 'certificate');
}

function keyIn(setting: string, pem: string): string {
  const [key] = PRIVATE_KEY.exec(pem) ?? [];
  if (key !== undefined) return lines(key);
  throw nothingIn(setting, 'private key');
}

function nothingIn(setting: string, what: string): SecurityConfigError {
  const expected = `PEM, with -----BEGIN ${what.toUpperCase()}----- in it`;
  return new SecurityConfigError(setting, `no ${what} in it`, expected);
}

/** A PEM block that lost its line breaks, as in a variable or a folded YAML text, gets them back. */
function lines(pem: string): string {
  if (pem.includes('\n')) return pem;
  const [, begin, body, end] = /^(-----[A-Z ]+-----)(.*)(-----[A-Z ]+-----)$/.exec(pem) ?? [];
  return [begin, ...(body ?? '').trim().split(/(?:\s|\\n)+/), end].join('\n');
}

function isJks(bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.readUInt32BE(0) === 0xfeed_feed;
}

/** PKCS12 is a DER sequence; JKS has a magic number; PEM is text. */
function isBinary(bytes: Buffer): boolean {
  return isJks(bytes) || bytes[0] === 0x30;
}

function keystoreError(config: SecurityConfig, error: unknown): SecurityConfigError {
  const text = errorMessage(error);
  const refuse = (setting: string, found: string, expected: string): SecurityConfigError =>
    new SecurityConfigError(setting, found, expected, { cause: error });
  if (/mac verify failure/i.test(text)) {
    const password = 'the password of the keystore';
    return refuse('ssl.keystore.password', `not ${password}`, password);
  }
  if (/bad decrypt|bad password read|interrupted or cancelled|decrypterror|passphrase/i.test(text)) {
    const isMissing = config.sslKeyPassword === undefined;
    const found = isMissing ? 'nothing, and the key is encrypted' : 'not the password of the key';
    return refuse('ssl.key.password', found, 'the password of the private key');
  }
  const setting = config.sslKeystoreLocation === undefined ? 'ssl.keystore.key' : 'ssl.keystore.location';
  if (/key values mismatch/i.test(text)) {
    return refuse(setting, 'a key that is not the certificate’s', 'the private key of the certificate');
  }
  if (/unsupported/i.test(text)) {
    const expected = 'a newer one; to convert it: openssl pkcs12 -legacy -in old.p12 -nodes -out client.pem';
    return refuse(setting, 'a store or key in an encryption that OpenSSL 3 no longer reads', expected);
  }
  return refuse(setting, `what OpenSSL can't read (${text})`, 'a private key and its certificate');
}
