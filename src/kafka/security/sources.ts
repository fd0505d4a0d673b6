import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemClock, type Clock } from '../../core/clock.ts';
import { SluiceError, errorMessage, isMissing } from '../../core/errors.ts';
import type { KeyFault } from '../../core/fault.ts';

/** A setting of TLS or SASL that can't be used. The message never holds a secret. */
export class SecurityConfigError extends SluiceError {
  /** Its path is the setting's name, e.g. `ssl.keystore.location`. */
  readonly fault: KeyFault;

  constructor(setting: string, found: string, expected: string, options?: ErrorOptions) {
    super('KAFKA_SECURITY_CONFIG', `${setting}: found ${found}, expected ${expected}`, options);
    this.fault = { path: [setting], found, expected };
  }
}

/** Where settings of security get what they refer to; by the clock's monotonic time a token lives on. */
export interface SecuritySources extends Pick<Clock, 'wallMs' | 'monotonicMs'> {
  /** Relative paths start here. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** For a program without a configuration file of its own: the working directory, and the process's variables. */
export const processSources = (): SecuritySources => ({
  ...systemClock,
  folder: process.cwd(),
  environment: process.env,
});

/**
 * Reads a file that a setting names, anew at every call: a certificate or password that is replaced on disk
 * is used from the next connection on.
 * @throws SecurityConfigError
 */
export function readNamedFile(setting: string, path: string, sources: SecuritySources): Buffer {
  const file = resolve(sources.folder, path);
  try {
    return readFileSync(file);
  } catch (error) {
    const found = isMissing(error) ? `no file ${file}` : errorMessage(error);
    throw new SecurityConfigError(setting, found, 'a file that can be read', { cause: error });
  }
}

const REFERENCE = /\$\{(env|file):([^}]*)\}/g;

/**
 * Puts in what a value refers to, in the notation of Kafka's configuration providers (KIP-297, KIP-887):
 * `${env:NAME}` a variable, `${file:PATH}` a file's content without its last line break, `${file:PATH:KEY}` one
 * key of a properties file.
 * @throws SecurityConfigError naming what is not there
 */
export function followReferences(setting: string, text: string, sources: SecuritySources): string {
  return text.replaceAll(REFERENCE, (_, provider: string, what: string) =>
    provider === 'env' ? variable(setting, what, sources) : fileContent(setting, what, sources),
  );
}

function variable(setting: string, name: string, { environment }: SecuritySources): string {
  const value = environment[name];
  if (value === undefined || value === '') {
    throw new SecurityConfigError(setting, `no variable ${name}`, 'an environment variable that is set');
  }
  return value;
}

function fileContent(setting: string, what: string, sources: SecuritySources): string {
  const colon = what.lastIndexOf(':');
  const path = colon === -1 ? what : what.slice(0, colon);
  const text = readNamedFile(setting, path, sources).toString('utf8');
  if (colon === -1) return text.replace(/\r?\n$/, '');
  const key = what.slice(colon + 1);
  const value = property(text, key);
  if (value !== undefined) return value;
  throw new SecurityConfigError(setting, `no key ${key} in ${path}`, `a line \`${key}=…\``);
}

/** A key's value in Java's .properties format. */
function property(text: string, wanted: string): string | undefined {
  for (const line of text.replaceAll(/\\\r?\n[ \t]*/g, '').split(/\r?\n/)) {
    const [, key, value] = /^\s*([^#!\s=:][^\s=:]*)\s*[=:\s]\s*(.*)$/.exec(line) ?? [];
    if (key === wanted) return value?.replaceAll(/\\(.)/g, '$1');
  }
  return undefined;
}
