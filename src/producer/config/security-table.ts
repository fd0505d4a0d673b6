import { Secret } from '../../core/secret.ts';
import type { Setting, SettingType } from './config-table.ts';

const SECURITY_PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;
export type SecurityProtocol = (typeof SECURITY_PROTOCOLS)[number];

const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const;
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

const STORE_TYPES = ['PEM', 'PKCS12', 'JKS'] as const;
export type StoreType = (typeof STORE_TYPES)[number];

/**
 * What a client of Kafka says of itself and wants to be told, as it was written: paths are not resolved,
 * references to files and variables not followed. See kafka/security/ for what is made of it.
 */
export interface SecurityConfig {
  readonly securityProtocol: SecurityProtocol;
  readonly saslMechanism: SaslMechanism | undefined;
  readonly saslJaasConfig: Secret | undefined;
  readonly saslUsername: string | undefined;
  readonly saslPassword: Secret | undefined;
  readonly saslOauthbearerTokenEndpointUrl: string | undefined;
  readonly saslOauthbearerClientId: string | undefined;
  readonly saslOauthbearerClientSecret: Secret | undefined;
  readonly saslOauthbearerScope: string | undefined;
  readonly saslLoginCallbackHandlerClass: string | undefined;
  readonly sslTruststoreType: StoreType;
  readonly sslTruststoreLocation: string | undefined;
  readonly sslTruststoreCertificates: string | undefined;
  readonly sslKeystoreType: StoreType;
  readonly sslKeystoreLocation: string | undefined;
  readonly sslKeystorePassword: Secret | undefined;
  readonly sslKeystoreCertificateChain: string | undefined;
  readonly sslKeystoreKey: Secret | undefined;
  readonly sslKeyPassword: Secret | undefined;
  /** Whether a broker's certificate must be made out to the host that we connect to. */
  readonly sslEndpointIdentificationAlgorithm: 'https' | '';
  readonly sslEnabledProtocols: readonly TlsVersion[];
}

const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

const LOGIN_HANDLERS = ['OAuthBearerLoginCallbackHandler', 'OAuthBearerUnsecuredLoginCallbackHandler'];

/** How a client and its brokers know each other: the rows of the settings' table for TLS and SASL. */
export const SECURITY_SETTINGS: {
  readonly [Field in keyof SecurityConfig]: Setting<SecurityConfig[Field]>;
} = {
  securityProtocol: {
    name: 'security.protocol',
    type: word(SECURITY_PROTOCOLS),
    default: 'PLAINTEXT',
    meaning: 'How brokers are talked to: in the clear or over TLS (SSL), and with a login (SASL) or without.',
  },
  saslMechanism: {
    name: 'sasl.mechanism',
    type: word(SASL_MECHANISMS),
    default: undefined,
    meaning: "How we log in. (Kafka's default, GSSAPI, is not supported.)",
  },
  saslJaasConfig: {
    name: 'sasl.jaas.config',
    type: secret(),
    default: undefined,
    meaning:
      'Login module and credentials, as any Kafka client takes them: `<class>LoginModule required username="…" password="…";`.',
    secret: true,
  },
  saslUsername: {
    name: 'sasl.username',
    type: text(),
    default: undefined,
    meaning: "Short for the username in sasl.jaas.config. (librdkafka's name; Java has none.)",
  },
  saslPassword: {
    name: 'sasl.password',
    type: secret(),
    default: undefined,
    meaning: "Short for the password in sasl.jaas.config. (librdkafka's name; Java has none.)",
    secret: true,
  },
  saslOauthbearerTokenEndpointUrl: {
    name: 'sasl.oauthbearer.token.endpoint.url',
    type: text(),
    default: undefined,
    meaning:
      'Where a token is had: an https: URL (OAuth 2 client credentials), or a file: URL of a file that somebody else keeps fresh.',
  },
  saslOauthbearerClientId: {
    name: 'sasl.oauthbearer.client.credentials.client.id',
    type: text(),
    default: undefined,
    meaning: 'Who asks for a token; or clientId in sasl.jaas.config.',
  },
  saslOauthbearerClientSecret: {
    name: 'sasl.oauthbearer.client.credentials.client.secret',
    type: secret(),
    default: undefined,
    meaning: 'Its secret; or clientSecret in sasl.jaas.config.',
    secret: true,
  },
  saslOauthbearerScope: {
    name: 'sasl.oauthbearer.scope',
    type: text(),
    default: undefined,
    meaning: 'The scope to ask for; or scope in sasl.jaas.config.',
  },
  saslLoginCallbackHandlerClass: {
    name: 'sasl.login.callback.handler.class',
    type: loginHandler(),
    default: undefined,
    meaning: 'Accepted so that settings can be pasted: what is done follows from the other settings.',
  },
  sslTruststoreType: {
    name: 'ssl.truststore.type',
    type: word(STORE_TYPES),
    default: 'PEM',
    meaning:
      "PEM. Stores that only Java can read (Kafka's default, JKS) are refused with the command that converts them.",
  },
  sslTruststoreLocation: {
    name: 'ssl.truststore.location',
    type: text(),
    default: undefined,
    meaning:
      'PEM file of the authorities (CAs) whose brokers are trusted; left out, the public ones that Node knows.',
  },
  sslTruststoreCertificates: {
    name: 'ssl.truststore.certificates',
    type: text(),
    default: undefined,
    meaning: 'The same as a text, instead of a file.',
  },
  sslKeystoreType: {
    name: 'ssl.keystore.type',
    type: word(STORE_TYPES),
    default: 'PEM',
    meaning: 'PEM or PKCS12. JKS is refused with the command that converts it.',
  },
  sslKeystoreLocation: {
    name: 'ssl.keystore.location',
    type: text(),
    default: undefined,
    meaning:
      'Our own private key and certificate chain, for brokers that want one: a PEM file with both, or PKCS12.',
  },
  sslKeystorePassword: {
    name: 'ssl.keystore.password',
    type: secret(),
    default: undefined,
    meaning: 'The password of a PKCS12 keystore.',
    secret: true,
  },
  sslKeystoreCertificateChain: {
    name: 'ssl.keystore.certificate.chain',
    type: text(),
    default: undefined,
    meaning: 'Our own certificate, and those between it and its CA, as PEM text.',
  },
  sslKeystoreKey: {
    name: 'ssl.keystore.key',
    type: secret(),
    default: undefined,
    meaning: 'Our own private key, as PEM text.',
    secret: true,
  },
  sslKeyPassword: {
    name: 'ssl.key.password',
    type: secret(),
    default: undefined,
    meaning: 'The password of an encrypted private key.',
    secret: true,
  },
  sslEndpointIdentificationAlgorithm: {
    name: 'ssl.endpoint.identification.algorithm',
    type: {
      expected: 'https, or empty (or none) for brokers whose certificates have other names',
      parse(value) {
        if (value === '' || value === 'none') return '';
        return String(value).toLowerCase() === 'https' ? 'https' : undefined;
      },
    },
    default: 'https',
    meaning:
      'https: a broker’s certificate must name the host that we connect to. Empty or none: any certificate of a trusted CA will do.',
  },
  sslEnabledProtocols: {
    name: 'ssl.enabled.protocols',
    type: tlsVersions(),
    default: TLS_VERSIONS,
    meaning: 'The versions of TLS that we speak.',
  },
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
    parse: (value) => words.find((candidate) => candidate === String(value).trim().toUpperCase()),
  };
}

function text(): SettingType<string> {
  return {
    expected: 'a text',
    parse: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
  };
}

function secret(): SettingType<Secret> {
  return {
    // 007 is a number in YAML, and not the password that was meant.
    expected: 'a text, in quotes if it looks like a number',
    parse: (value) => (typeof value === 'string' && value !== '' ? new Secret(value) : undefined),
  };
}

function tlsVersions(): SettingType<readonly TlsVersion[]> {
  return {
    expected: `one or more of ${TLS_VERSIONS.join(', ')}, as a list or separated by commas`,
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
    parse: (value) =>
      typeof value === 'string' && LOGIN_HANDLERS.includes(value.split('.').at(-1) ?? '') ? value : undefined,
  };
}
