import { SluiceError } from '../../core/errors.ts';
import type { SecurityConfig } from '../../producer/config/config-table.ts';
import { tokenProvider, type BearerToken } from './oauth.ts';
import { SecurityConfigError, followReferences, type SecuritySources } from './sources.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** How to log in. Both calls give what is valid now: files and tokens may have been renewed. */
export type Sasl =
  | {
      readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
      /** @throws SecurityConfigError */
      credentials(): Credentials;
    }
  | { readonly mechanism: 'OAUTHBEARER'; token(): Promise<BearerToken> };

/** Sends one message of a mechanism to the broker, and resolves with what it says to that. */
export type Exchange = (message: Buffer) => Promise<Buffer>;

/** The broker, and not its error code, shows that a login can't be. The message completes the sentence "the broker …". */
export class LoginError extends SluiceError {
  constructor(message: string) {
    super('KAFKA_AUTHENTICATION_FAILED', message);
  }
}

const MODULES = {
  PLAIN: 'PlainLoginModule',
  'SCRAM-SHA-256': 'ScramLoginModule',
  'SCRAM-SHA-512': 'ScramLoginModule',
  OAUTHBEARER: 'OAuthBearerLoginModule',
} as const;

/**
 * The login that the settings describe.
 * @throws SecurityConfigError
 */
export function saslLogin(config: SecurityConfig, sources: SecuritySources): Sasl {
  const { saslMechanism: mechanism, securityProtocol } = config;
  if (mechanism === undefined) {
    const expected = `a mechanism, because security.protocol is ${securityProtocol}`;
    throw new SecurityConfigError('sasl.mechanism', 'nothing', expected);
  }
  const options = jaasOptions(config, MODULES[mechanism]);
  const follow = (setting: string, value: string | undefined): string | undefined =>
    value && followReferences(setting, value, sources);
  if (mechanism === 'OAUTHBEARER') return { mechanism, token: tokenProvider(config, options, sources) };

  const credentials = (): Credentials => {
    const valueOf = (what: 'username' | 'password', setting: string | undefined): string => {
      const inJaas = follow('sasl.jaas.config', options?.get(what));
      const value = inJaas ?? follow(`sasl.${what}`, setting) ?? '';
      if (value !== '') return value;
      const expected = `a ${what}: sasl.jaas.config: '…${MODULES[mechanism]} required username="…" password="…";', or sasl.username and sasl.password`;
      throw options === undefined
        ? new SecurityConfigError(`sasl.${what}`, 'nothing', expected)
        : new SecurityConfigError('sasl.jaas.config', `no ${what}`, expected);
    };
    return {
      username: valueOf('username', config.saslUsername),
      password: valueOf('password', config.saslPassword?.reveal()),
    };
  };
  credentials();
  return { mechanism, credentials };
}

/** The options of sasl.jaas.config; undefined without one. */
function jaasOptions(config: SecurityConfig, module: string): ReadonlyMap<string, string> | undefined {
  const { saslJaasConfig, saslUsername, saslPassword } = config;
  if (saslJaasConfig === undefined) return undefined;
  const refuse = (found: string, expected: string): SecurityConfigError =>
    new SecurityConfigError('sasl.jaas.config', found, expected);
  if (saslUsername !== undefined || saslPassword !== undefined) {
    const found = 'credentials here and in sasl.username or sasl.password';
    throw refuse(found, 'one place: here, or sasl.username and sasl.password');
  }
  const entry = parseJaas(saslJaasConfig.reveal());
  if ('problem' in entry) {
    throw refuse(entry.problem, `one entry: org.apache.kafka.….${module} required key="value" …;`);
  }
  if (entry.module !== module) {
    throw refuse(`the login module ${entry.module}`, `${module}, because of 'sasl.mechanism'`);
  }
  if (entry.options.get('tokenauth') === 'true') {
    throw refuse('tokenauth="true"', 'a user’s password: delegation tokens are not supported');
  }
  return entry.options;
}

/** A login as `sasl.jaas.config` writes it. */
export interface JaasEntry {
  /** The login module's class without its package, e.g. `PlainLoginModule`. */
  readonly module: string;
  readonly options: ReadonlyMap<string, string>;
}

/** A word, a quoted text in which a backslash escapes, or one of the marks `=` and `;`. */
const TOKEN = /\s*(?:([^\s="';]+)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([=;]))/gsy;

const FLAGS = ['required', 'requisite', 'sufficient', 'optional'];

interface Token {
  readonly text: string;
  readonly isMark: boolean;
}

/**
 * Parses one entry, `<class> required key="value" ...;`, as Java's JaasConfig does, and a little more kindly:
 * line continuations of properties files, unquoted values and a missing semicolon are taken for what they mean.
 * @returns the entry, or what is wrong with it, without any of its values
 */
export function parseJaas(text: string): JaasEntry | { readonly problem: string } {
  const tokens = tokenize(text.replaceAll(/\\\r?\n/g, ' ').trim());
  if (tokens === undefined) return { problem: 'a quotation mark that is not closed' };
  const [className, flag, ...rest] = tokens;
  if (className === undefined || className.isMark) return { problem: 'no login module' };
  if (flag === undefined || !FLAGS.includes(flag.text.toLowerCase())) {
    return { problem: 'no word `required` behind the login module' };
  }
  const options = new Map<string, string>();
  while (rest.length > 0) {
    const [key, equals, value] = rest.splice(0, 3);
    if (key?.isMark === true && key.text === ';') {
      return equals === undefined ? entry(className, options) : { problem: 'something behind the semicolon' };
    }
    if (key === undefined || key.isMark || equals?.text !== '=' || !equals.isMark) {
      return { problem: 'an option without a value (has the value quotation marks or spaces in it?)' };
    }
    if (value === undefined || value.isMark) return { problem: `no value for the option ${key.text}` };
    options.set(key.text, value.text);
  }
  return entry(className, options);
}

function entry(className: Token, options: ReadonlyMap<string, string>): JaasEntry {
  return { module: className.text.split('.').at(-1) ?? '', options };
}

function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) return undefined;
    const [, word, double, single, mark] = match;
    if (mark !== undefined) tokens.push({ text: mark, isMark: true });
    else tokens.push({ text: word ?? unescape(double ?? single ?? ''), isMark: false });
  }
  return tokens;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', b: '\b' };

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/gs, (_, character: string) => ESCAPES[character] ?? character);
}
