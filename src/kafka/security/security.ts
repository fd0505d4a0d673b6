import type { ConnectionOptions } from 'node:tls';
import { keyFault, type KeyFault } from '../../core/fault.ts';
import { SECURITY_SETTINGS, type SecurityConfig } from '../../producer/config/config-table.ts';
import { saslLogin, type Sasl } from './sasl.ts';
import { processSources, SecurityConfigError, type SecuritySources } from './sources.ts';
import { checkTlsMaterial, tlsOptions } from './tls.ts';

/** How connections to brokers are secured: the same for producer, admin and consumers. */
export interface ClientSecurity {
  readonly protocol: SecurityConfig['securityProtocol'];
  /**
   * What tls.connect() is to be told for one connection; files are read anew, so that renewed certificates are
   * used without a restart. undefined: no TLS.
   * @throws SecurityConfigError
   */
  readonly tls: ((host: string) => ConnectionOptions) | undefined;
  /** undefined: no login. */
  readonly sasl: Sasl | undefined;
}

export const PLAINTEXT: ClientSecurity = { protocol: 'PLAINTEXT', tls: undefined, sasl: undefined };

/**
 * What the settings come to. Everything that they refer to is looked at once; whatever is wrong is a fault
 * (`path` is the setting's name) that holds no secret, and `security` is then not to be used. Never throws.
 */
export function clientSecurity(config: SecurityConfig, sources: SecuritySources = processSources()) {
  const protocol = config.securityProtocol;
  const usesTls = protocol === 'SSL' || protocol === 'SASL_SSL';
  const usesSasl = protocol === 'SASL_PLAINTEXT' || protocol === 'SASL_SSL';
  const faults: KeyFault[] = [...idleSettings(config, usesTls, usesSasl), ...keystoreFaults(config)];
  const collect = <T>(make: () => T): T | undefined => {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof SecurityConfigError)) throw error;
      faults.push(error.fault);
      return undefined;
    }
  };
  if (usesTls) {
    collect(() => checkTlsMaterial(config, sources));
  }
  const sasl = usesSasl ? collect(() => saslLogin(config, sources)) : undefined;
  const tls = usesTls ? (host: string) => tlsOptions(config, sources, host) : undefined;
  const security: ClientSecurity = { protocol, tls, sasl };
  return { security, faults };
}

/**
 * The same for a program without a configuration file: settings that can't be used are an error.
 * @throws SecurityConfigError the first fault
 */
export function requireSecurity(config: SecurityConfig): ClientSecurity {
  const { security, faults } = clientSecurity(config);
  const [fault] = faults;
  if (fault === undefined) return security;
  throw new SecurityConfigError(fault.path.join('.'), fault.found, fault.expected);
}

/** Whoever sets a password without TLS or SASL has forgotten security.protocol, and would connect in the clear. */
function idleSettings(config: SecurityConfig, usesTls: boolean, usesSasl: boolean): KeyFault[] {
  const idle = (Object.keys(SECURITY_SETTINGS) as (keyof SecurityConfig)[]).filter((field) => {
    const isSet = config[field] !== SECURITY_SETTINGS[field].default;
    return isSet && ((field.startsWith('ssl') && !usesTls) || (field.startsWith('sasl') && !usesSasl));
  });
  if (idle.length === 0) return [];
  const names = idle.map((field) => SECURITY_SETTINGS[field].name);
  const wants = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  const tls = usesTls || wants('ssl.');
  const sasl = usesSasl || wants('sasl.');
  const better = sasl ? (tls ? 'SASL_SSL' : 'SASL_SSL, or SASL_PLAINTEXT in a network of your own') : 'SSL';
  const expected = `${better}, because of ${names.join(', ')}`;
  return [keyFault(['security.protocol'], config.securityProtocol, expected)];
}

/** Settings of our own certificate that don't go together. */
function* keystoreFaults(config: SecurityConfig): Generator<KeyFault> {
  const { sslKeystoreLocation: location, sslKeystoreCertificateChain: chain, sslKeystoreKey: key } = config;
  if (location !== undefined && (chain !== undefined || key !== undefined)) {
    const found = 'a file, and ssl.keystore.certificate.chain or ssl.keystore.key beside it';
    yield keyFault(['ssl.keystore.location'], found, 'one of both');
  } else if ((chain === undefined) !== (key === undefined)) {
    const names = ['ssl.keystore.certificate.chain', 'ssl.keystore.key'];
    const [missing = '', present] = chain === undefined ? names : names.reverse();
    yield keyFault([missing], 'nothing', `a value, because ${present} has one`);
  }
  if (config.sslTruststoreLocation !== undefined && config.sslTruststoreCertificates !== undefined) {
    const found = 'a file, and ssl.truststore.certificates beside it';
    yield keyFault(['ssl.truststore.location'], found, 'one of both');
  }
}
