import { errorMessage } from '../../core/errors.ts';
import { ProducerError } from '../../producer/errors.ts';
import type { SecurityProtocol } from '../../producer/config/config-table.ts';
import { NotKafkaError } from '../protocol/frames.ts';
import { TokenError } from './oauth.ts';
import { LoginError } from './sasl.ts';
import { SecurityConfigError } from './sources.ts';

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

const UNTRUSTED = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_CA',
];

/** One cause in the chain of an error, with what libraries put on their errors. */
interface Cause {
  readonly code: string;
  readonly message: string;
  readonly broker: string | undefined;
  readonly error: unknown;
}

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
  // kafkajs knows better than its caller which broker it was.
  const address = causes.find((cause) => cause.broker !== undefined)?.broker ?? broker;
  const fail = (code: SecurityFailureCode, message: string): BrokerSecurityError =>
    new BrokerSecurityError(code, address, message, { cause: error });
  for (const { error: cause, message } of causes) {
    if (cause instanceof BrokerSecurityError) return cause;
    if (cause instanceof SecurityConfigError)
      return fail('KAFKA_SECURITY_CONFIG', `can't be talked to: ${message}`);
    if (cause instanceof TokenError)
      return fail('KAFKA_TOKEN_UNAVAILABLE', `can't be logged in to: ${message}`);
    if (cause instanceof LoginError) return fail('KAFKA_AUTHENTICATION_FAILED', message);
  }
  return certificateFailure(causes, fail) ?? tlsFailure(causes, fail, protocol) ?? loginFailure(causes, fail);
}

type Fail = (code: SecurityFailureCode, message: string) => BrokerSecurityError;

/** We don't accept the broker's certificate (codes: Node's documentation of TLS, "X509 certificate error codes"). */
function certificateFailure(causes: readonly Cause[], fail: Fail): BrokerSecurityError | undefined {
  for (const { code, message, error } of causes) {
    if (UNTRUSTED.includes(code) || /self-signed certificate|unable to (verify|get)/i.test(message)) {
      return fail(
        'KAFKA_CERTIFICATE_UNTRUSTED',
        `shows a certificate of an authority that is not trusted (${message}): ` +
          "put its CA's certificate into ssl.truststore.location",
      );
    }
    if (code === 'CERT_HAS_EXPIRED' || /certificate has expired/i.test(message)) {
      return fail(
        'KAFKA_CERTIFICATE_EXPIRED',
        'shows a certificate, or one of its CA, that has expired: renew it at the broker, or correct this machine’s clock',
      );
    }
    if (code === 'CERT_NOT_YET_VALID' || /certificate is not yet valid/i.test(message)) {
      return fail(
        'KAFKA_CERTIFICATE_EXPIRED',
        'shows a certificate that is not valid yet: is this machine’s clock right?',
      );
    }
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || /altnames?:/i.test(message)) {
      return fail(
        'KAFKA_CERTIFICATE_HOST_MISMATCH',
        `shows a certificate for other names (${namesIn(error) ?? message}): connect by one of its names ` +
          '(bootstrap.servers, advertised.listeners), have it made out to this one, ' +
          "or set ssl.endpoint.identification.algorithm: '' where any broker of that CA will do",
      );
    }
  }
  return undefined;
}

/** The names in the certificate that Node's error shows. */
function namesIn(error: unknown): string | undefined {
  const { cert } = error as { cert?: { subjectaltname?: unknown } };
  return typeof cert?.subjectaltname === 'string' ? cert.subjectaltname : undefined;
}

/** The two sides don't speak TLS with each other, or the broker doesn't accept ours. */
function tlsFailure(
  causes: readonly Cause[],
  fail: Fail,
  protocol: SecurityProtocol,
): BrokerSecurityError | undefined {
  const usesTls = protocol === 'SSL' || protocol === 'SASL_SSL';
  for (const { code, message, error } of causes) {
    if (error instanceof NotKafkaError && error.isTls) {
      const better = protocol === 'PLAINTEXT' ? 'SSL (or SASL_SSL)' : 'SASL_SSL';
      return fail('KAFKA_TLS_REQUIRED', `speaks TLS, and we do not: set security.protocol to ${better}`);
    }
    if (!usesTls) continue;
    if (
      /before secure TLS connection was established|wrong version number|packet length too long/i.test(
        message,
      )
    ) {
      const better = protocol === 'SSL' ? 'PLAINTEXT' : 'SASL_PLAINTEXT';
      return fail(
        'KAFKA_TLS_NOT_SPOKEN',
        `does not answer in TLS: is it the port of another listener? (security.protocol: ${better} would be without TLS)`,
      );
    }
    if (
      /alert (certificate|bad certificate|unsupported certificate|unknown ca|decrypt error)|certificate required/i.test(
        message,
      )
    ) {
      return fail(
        'KAFKA_CLIENT_CERTIFICATE_REFUSED',
        `does not accept our certificate, or wants one and got none (${lastWords(message)}): see ssl.keystore.location`,
      );
    }
    if (/^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(code)) {
      return fail('KAFKA_TLS_FAILED', `and we found no common TLS (${lastWords(message)})`);
    }
  }
  return undefined;
}

/** The broker does not let us in, by the protocol's own error codes or in words. */
function loginFailure(causes: readonly Cause[], fail: Fail): BrokerSecurityError | undefined {
  for (const { code, message } of causes) {
    if (code === 'UNSUPPORTED_SASL_MECHANISM' || /mechanism is not supported by the server/i.test(message)) {
      return fail(
        'KAFKA_SASL_MECHANISM_REFUSED',
        'does not offer this sasl.mechanism: see its setting sasl.enabled.mechanisms',
      );
    }
    if (code === 'ILLEGAL_SASL_STATE') {
      return fail(
        'KAFKA_SASL_NOT_EXPECTED',
        'wants no login on this port: set security.protocol to PLAINTEXT or SSL',
      );
    }
  }
  const refused = causes.findLast(
    ({ code, message }) =>
      code === 'SASL_AUTHENTICATION_FAILED' ||
      /authentication failed|invalid server signature|invalid credentials|server nonce/i.test(message),
  );
  if (refused === undefined) return undefined;
  const said = refused.message.replace(/^.*authentication failed:?\s*(?=\S)/i, '');
  return fail(
    'KAFKA_AUTHENTICATION_FAILED',
    `refused our login (${said}): check user and password, and that they exist for this sasl.mechanism`,
  );
}

/** OpenSSL's messages begin with where in its sources they come from. */
function lastWords(message: string): string {
  const parts = message.trim().split(':');
  return parts.findLast((part) => /[a-z]{4} ?[a-z]/i.test(part) && !part.endsWith('.c'))?.trim() ?? message;
}

/** The error, its causes, and the errors that it collects, from the outside in. */
function* causesOf(error: unknown, depth = 0): Generator<Cause> {
  if (!(error instanceof Error) || depth > 8) return;
  const { broker, code, type, apiId, cause, errors } = error as {
    broker?: unknown;
    code?: unknown;
    type?: unknown;
    apiId?: unknown;
    cause?: unknown;
    errors?: unknown;
  };
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
