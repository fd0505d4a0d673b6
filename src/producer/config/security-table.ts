import { secret, setting, text, type SettingType, type SettingValue } from './setting.ts';

const SECURITY_PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;
export type SecurityProtocol = (typeof SECURITY_PROTOCOLS)[number];

const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const;
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

const STORE_TYPES = ['PEM', 'PKCS12', 'JKS'] as const;
export type StoreType = (typeof STORE_TYPES)[number];

const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

const LOGIN_HANDLERS = ['OAuthBearerLoginCallbackHandler', 'OAuthBearerUnsecuredLoginCallbackHandler'];

/** How a client and its brokers know each other: the rows of the settings' table for TLS and SASL. */
export const SECURITY_SETTINGS = {
  securityProtocol: setting('security.protocol', word(SECURITY_PROTOCOLS), 'PLAINTEXT').meaning(
    'How brokers are talked to: in the clear or over TLS (SSL), and with a login (SASL) or without.',
  ),
  saslMechanism: setting('sasl.mechanism', word(SASL_MECHANISMS)).meaning(
    "How we log in. (Kafka's default, GSSAPI, is not supported.)",
  ),
  saslJaasConfig: setting('sasl.jaas.config', secret()).meaning(
    'Login module and credentials, as any Kafka client takes them: `<class>LoginModule required username="…" password="…";`.',
  ),
  saslUsername: setting('sasl.username', text()).meaning(
    "Short for the username in sasl.jaas.config. (librdkafka's name; Java has none.)",
  ),
  saslPassword: setting('sasl.password', secret()).meaning(
    "Short for the password in sasl.jaas.config. (librdkafka's name; Java has none.)",
  ),
  saslOauthbearerTokenEndpointUrl: setting('sasl.oauthbearer.token.endpoint.url', text()).meaning(
    'Where a token is had: an https: URL (OAuth 2 client credentials), or a file: URL of a file that somebody else keeps fresh.',
  ),
  saslOauthbearerClientId: setting('sasl.oauthbearer.client.credentials.client.id', text()).meaning(
    'Who asks for a token; or clientId in sasl.jaas.config.',
  ),
  saslOauthbearerClientSecret: setting('sasl.oauthbearer.client.credentials.client.secret', secret()).meaning(
    'Its secret; or clientSecret in sasl.jaas.config.',
  ),
  saslOauthbearerScope: setting('sasl.oauthbearer.scope', text()).meaning(
    'The scope to ask for; or scope in sasl.jaas.config.',
  ),
  saslLoginCallbackHandlerClass: setting('sasl.login.callback.handler.class', loginHandler()).meaning(
    'Accepted so that settings can be pasted: what is done follows from the other settings.',
  ),
  sslTruststoreType: setting('ssl.truststore.type', word(STORE_TYPES), 'PEM').meaning(
    "PEM. Stores that only Java can read (Kafka's default, JKS) are refused with the command that converts them.",
  ),
  sslTruststoreLocation: setting('ssl.truststore.location', text()).meaning(
    'PEM file of the authorities (CAs) whose brokers are trusted; left out, the public ones that Node knows.',
  ),
  sslTruststoreCertificates: setting('ssl.truststore.certificates', text()).meaning(
    'The same as a text, instead of a file.',
  ),
  sslKeystoreType: setting('ssl.keystore.type', word(STORE_TYPES), 'PEM').meaning(
    'PEM or PKCS12. JKS is refused with the command that converts it.',
  ),
  sslKeystoreLocation: setting('ssl.keystore.location', text()).meaning(
    'Our own private key and certificate chain, for brokers that want one: a PEM file with both, or PKCS12.',
  ),
  sslKeystorePassword: setting('ssl.keystore.password', secret()).meaning(
    'The password of a PKCS12 keystore.',
  ),
  sslKeystoreCertificateChain: setting('ssl.keystore.certificate.chain', text()).meaning(
    'Our own certificate, and those between it and its CA, as PEM text.',
  ),
  sslKeystoreKey: setting('ssl.keystore.key', secret()).meaning('Our own private key, as PEM text.'),
  sslKeyPassword: setting('ssl.key.password', secret()).meaning('The password of an encrypted private key.'),
  sslEndpointIdentificationAlgorithm: setting(
    'ssl.endpoint.identification.algorithm',
    {
      expected: 'https, or empty (or none) for brokers whose certificates have other names',
      json: { type: 'string', pattern: '^(https|HTTPS|none|)$' },
      parse(value) {
        if (value === '' || value === 'none') return '';
        return String(value).toLowerCase() === 'https' ? 'https' : undefined;
      },
    },
    'https',
  ).meaning(
    'https: a broker’s certificate must name the host that we connect to. Empty or none: any certificate of a trusted CA will do.',
  ),
  sslEnabledProtocols: setting('ssl.enabled.protocols', tlsVersions(), TLS_VERSIONS).meaning(
    'The versions of TLS that we speak.',
  ),
};

/**
 * What a client of Kafka says of itself and wants to be told, as it was written: paths are not resolved,
 * references to files and variables not followed. See kafka/security/ for what is made of it.
 */
export type SecurityConfig = {
  readonly [Field in keyof typeof SECURITY_SETTINGS]: SettingValue<(typeof SECURITY_SETTINGS)[Field]>;
};

/** Names that people bring from Kafka's or librdkafka's documentation, and what to write instead. */
export const UNSUPPORTED_SECURITY: Readonly<Record<string, string>> = {
  'sasl.mechanisms': "it is called 'sasl.mechanism'",
  'sasl.kerberos.*': 'GSSAPI (Kerberos) is not supported',
  'sasl.client.callback.handler.class': 'classes of Java can not be loaded',
  'sasl.login.class': 'classes of Java can not be loaded',
  'sasl.login.refresh.*': 'a token is renewed when four fifths of its life are over',
  'sasl.login.*': 'how often and how long tokens are asked for can not be set',
  'sasl.oauthbearer.*':
    'of OAUTHBEARER, tokens from an endpoint or a file by client credentials are supported',
  'security.providers': 'classes of Java can not be loaded',
  'ssl.ca.location': "it is called 'ssl.truststore.location'",
  'ssl.ca.pem': "it is called 'ssl.truststore.certificates'",
  'ssl.certificate.location':
    "it is called 'ssl.keystore.certificate.chain', with `${file:<path>}` as its value",
  'ssl.certificate.pem': "it is called 'ssl.keystore.certificate.chain'",
  'ssl.key.location': "it is called 'ssl.keystore.key', with `${file:<path>}` as its value",
  'ssl.key.pem': "it is called 'ssl.keystore.key'",
  'ssl.truststore.password': 'certificates in PEM have no password',
  'ssl.protocol': "'ssl.enabled.protocols' says which versions of TLS are spoken",
  'ssl.cipher.suites': "OpenSSL's choice is used; Node's option --tls-cipher-list changes it",
  'ssl.provider': 'TLS is OpenSSL’s',
  'ssl.engine.factory.class': 'classes of Java can not be loaded',
  'ssl.keymanager.algorithm': 'TLS is OpenSSL’s',
  'ssl.trustmanager.algorithm': 'TLS is OpenSSL’s',
  'ssl.secure.random.implementation': 'TLS is OpenSSL’s',
};

/** One of a few words, however it is capitalised. */
function word<T extends string>(words: readonly T[]): SettingType<T> {
  return {
    expected: `one of ${words.join(', ')}`,
    json: { type: 'string', pattern: `^\\s*(${words.map(anyCase).join('|')})\\s*$` },
    parse: (value) => words.find((candidate) => candidate === String(value).trim().toUpperCase()),
  };
}

/** A pattern of a word, in the dialect of JSON Schema, which has no flag for it. */
function anyCase(word: string): string {
  return word.replaceAll(/[A-Z]/g, (letter) => `[${letter}${letter.toLowerCase()}]`);
}

function tlsVersions(): SettingType<readonly TlsVersion[]> {
  return {
    expected: `one or more of ${TLS_VERSIONS.join(', ')}, as a list or separated by commas`,
    json: { type: ['string', 'array'], items: { enum: TLS_VERSIONS } },
    parse(value) {
      const names: unknown[] =
        typeof value === 'string' ? value.split(',').map((name) => name.trim()) : [value].flat();
      const versions = TLS_VERSIONS.filter((version) => names.includes(version));
      return versions.length > 0 && versions.length === names.length ? versions : undefined;
    },
  };
}

function loginHandler(): SettingType<string> {
  return {
    expected: `Kafka's own ${LOGIN_HANDLERS.join(' or ')}: other classes of Java can not be loaded`,
    json: { type: 'string', pattern: `(^|\\.)(${LOGIN_HANDLERS.join('|')})$` },
    parse: (value) =>
      typeof value === 'string' && LOGIN_HANDLERS.includes(value.split('.').at(-1) ?? '') ? value : undefined,
  };
}
