import { errorMessage } from '../../core/errors.ts';
import { ProducerError } from '../../producer/errors.ts';
import type { SecurityConfig } from '../../producer/config/config-table.ts';
import { NotKafkaError } from '../protocol/frames.ts';
import { TokenError } from './oauth.ts';
import { LoginError } from './sasl.ts';
import { SecurityConfigError } from './sources.ts';

type SecurityProtocol = SecurityConfig['securityProtocol'];

/** How a connection failed that security is the reason for; the code of {@link BrokerSecurityError}. */
export type SecurityFailureCode =
  | 'KAFKA_AUTHENTICATION_FAILED'
  | 'KAFKA_SASL_MECHANISM_REFUSED'
  | 'KAFKA_SASL_REQUIRED'
  | 'KAFKA_SASL_NOT_EXPECTED'
  | 'KAFKA_TLS_REQUIRED'
  | 'KAFKA_TLS_NOT_SPOKEN'
  | 'KAFKA_TLS_FAILED'
  | 'KAFKA_CERTIFICATE_UNTRUSTED'
  | 'KAFKA_CERTIFICATE_EXPIRED'
  | 'KAFKA_CERTIFICATE_HOST_MISMATCH'
  | 'KAFKA_CLIENT_CERTIFICATE_REFUSED'
  | 'KAFKA_TOKEN_UNAVAILABLE'
  | 'KAFKA_SECURITY_CONFIG';

/**
 * A broker and we don't trust each other. Trying again soon is of no use, and may lock an account; trying again
 * some time is, because passwords, certificates and clocks are put right without a restart.
 */
export class BrokerSecurityError extends ProducerError {
  /** `host:port`. */
  readonly broker: string;

  constructor(code: SecurityFailureCode, broker: string, message: string, options?: ErrorOptions) {
    super(code, `${broker} ${message}`, { ...options, retriable: true });
    this.broker = broker;
  }
}

/** One cause in the chain of an error, with what libraries put on their errors. */
interface Cause {
  readonly code: string;
  readonly message: string;
  readonly broker: string | undefined;
  readonly error: unknown;
}

/** How a failure is known, by the code or the words of a cause, and what it means. */
interface Rule {
  readonly code: SecurityFailureCode;
  readonly codes?: RegExp;
  readonly words?: RegExp;
  readonly when?: (cause: Cause) => boolean;
  /** Means something only where we speak TLS. */
  readonly overTls?: true;
  /** Behind the broker's address: what it does, and what to do. */
  readonly text: (cause: Cause, protocol: SecurityProtocol) => string;
}

/**
 * The first rule that matches any cause counts. Codes of certificates: Node's documentation of TLS, "X509 certificate
 * error codes"; of logins: the protocol's own.
 */
const RULES: readonly Rule[] = [
  {
    code: 'KAFKA_SECURITY_CONFIG',
    when: ({ error }) => error instanceof SecurityConfigError,
    text: ({ message }) => `can't be talked to: ${message}`,
  },
  {
    code: 'KAFKA_TOKEN_UNAVAILABLE',
    when: ({ error }) => error instanceof TokenError,
    text: ({ message }) => `can't be logged in to: ${message}`,
  },
  {
    code: 'KAFKA_AUTHENTICATION_FAILED',
    when: ({ error }) => error instanceof LoginError,
    text: ({ message }) => message,
  },
  {
    code: 'KAFKA_CERTIFICATE_UNTRUSTED',
    codes:
      /^(UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_(UNTRUSTED|REJECTED|SIGNATURE_FAILURE)|INVALID_CA)$/,
    words: /self-signed certificate|unable to (verify|get)/i,
    text: ({ message }) =>
      `shows a certificate of an authority that is not trusted (${message}): ` +
      "put its CA's certificate into ssl.truststore.location",
  },
  {
    code: 'KAFKA_CERTIFICATE_EXPIRED',
    codes: /^CERT_HAS_EXPIRED$/,
    words: /certificate has expired/i,
    text: () =>
      'shows a certificate, or one of its CA, that has expired: renew it at the broker, or correct this machine’s clock',
  },
  {
    code: 'KAFKA_CERTIFICATE_EXPIRED',
    codes: /^CERT_NOT_YET_VALID$/,
    words: /certificate is not yet valid/i,
    text: () => 'shows a certificate that is not valid yet: is this machine’s clock right?',
  },
  {
    code: 'KAFKA_CERTIFICATE_HOST_MISMATCH',
    codes: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    words: /altnames?:/i,
    text: ({ message, error }) =>
      `shows a certificate for other names (${namesIn(error) ?? message}): connect by one of its names ` +
      '(bootstrap.servers, advertised.listeners), have it made out to this one, ' +
      "or set ssl.endpoint.identification.algorithm: '' where any broker of that CA will do",
  },
  {
    code: 'KAFKA_TLS_REQUIRED',
    when: ({ error }) => error instanceof NotKafkaError && error.isTls,
    text: (_, protocol) =>
      `speaks TLS, and we do not: set security.protocol to ${protocol === 'PLAINTEXT' ? 'SSL (or SASL_SSL)' : 'SASL_SSL'}`,
  },
  {
    code: 'KAFKA_TLS_NOT_SPOKEN',
    overTls: true,
    words: /before secure TLS connection was established|wrong version number|packet length too long/i,
    text: (_, protocol) =>
      'does not answer in TLS: is it the port of another listener? ' +
      `(security.protocol: ${protocol === 'SSL' ? 'PLAINTEXT' : 'SASL_PLAINTEXT'} would be without TLS)`,
  },
  {
    code: 'KAFKA_CLIENT_CERTIFICATE_REFUSED',
    overTls: true,
    words:
      /alert (certificate|bad certificate|unsupported certificate|unknown ca|decrypt error)|certificate required/i,
    text: ({ message }) =>
      `does not accept our certificate, or wants one and got none (${lastWords(message)}): see ssl.keystore.location`,
  },
  {
    code: 'KAFKA_TLS_FAILED',
    overTls: true,
    codes: /^(ERR_SSL_|ERR_TLS_|EPROTO)/,
    text: ({ message }) => `and we found no common TLS (${lastWords(message)})`,
  },
  {
    code: 'KAFKA_SASL_MECHANISM_REFUSED',
    codes: /^UNSUPPORTED_SASL_MECHANISM$/,
    words: /mechanism is not supported by the server/i,
    text: () => 'does not offer this sasl.mechanism: see its setting sasl.enabled.mechanisms',
  },
  {
    code: 'KAFKA_SASL_NOT_EXPECTED',
    codes: /^ILLEGAL_SASL_STATE$/,
    text: () => 'wants no login on this port: set security.protocol to PLAINTEXT or SSL',
  },
  {
    code: 'KAFKA_AUTHENTICATION_FAILED',
    codes: /^SASL_AUTHENTICATION_FAILED$/,
    words: /authentication failed/i,
    text: ({ message }) =>
      `refused our login (${message.replace(/^.*authentication failed:?\s*(?=\S)/i, '')}): ` +
      'check user and password, and that they exist for this sasl.mechanism',
  },
];

/**
 * Reads from what a client library threw whether security is the reason, and says so in words that tell what to
 * do. undefined: it is not, as far as can be seen.
 *
 * @param broker `host:port`
 */
export function securityFailure(
  error: unknown,
  broker: string,
  protocol: SecurityProtocol,
): BrokerSecurityError | undefined {
  const causes = [...causesOf(error)];
  const known = causes.find((cause) => cause.error instanceof BrokerSecurityError)?.error;
  if (known instanceof BrokerSecurityError) return known;
  // kafkajs knows better than its caller which broker it was.
  const address = causes.find((cause) => cause.broker !== undefined)?.broker ?? broker;
  const usesTls = protocol === 'SSL' || protocol === 'SASL_SSL';
  for (const { code, codes, words, when, overTls, text } of RULES) {
    if (overTls === true && !usesTls) continue;
    const cause = causes.findLast(
      (one) => codes?.test(one.code) === true || words?.test(one.message) === true || when?.(one) === true,
    );
    if (cause !== undefined)
      return new BrokerSecurityError(code, address, text(cause, protocol), { cause: error });
  }
  return undefined;
}

/** The names in the certificate that Node's error shows. */
function namesIn(error: unknown): string | undefined {
  const { cert } = error as { cert?: { subjectaltname?: unknown } };
  return typeof cert?.subjectaltname === 'string' ? cert.subjectaltname : undefined;
}

/** OpenSSL's messages begin with where in its sources they come from. */
function lastWords(message: string): string {
  const parts = message.trim().split(':');
  return parts.findLast((part) => /[a-z]{4} ?[a-z]/i.test(part) && !part.endsWith('.c'))?.trim() ?? message;
}

/** The error, its causes, and the errors that it collects, from the outside in. */
function* causesOf(error: unknown, depth = 0): Generator<Cause> {
  if (!(error instanceof Error) || depth > 8) return;
  const { broker, code, type, apiId, cause, errors } = error as Error & Readonly<Record<string, unknown>>;
  const name = [apiId, type, code].find((candidate) => typeof candidate === 'string');
  yield {
    code: typeof name === 'string' ? name : '',
    message: errorMessage(error),
    broker: typeof broker === 'string' ? broker : undefined,
    error,
  };
  if (Array.isArray(errors)) for (const inner of errors) yield* causesOf(inner, depth + 1);
  yield* causesOf(cause, depth + 1);
}
