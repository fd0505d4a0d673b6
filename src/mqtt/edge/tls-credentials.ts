import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage, SluiceError } from '../../core/errors.ts';

/** The files that a TLS listener is made of, PEM. */
export interface TlsFiles {
  /** The server's certificate, and what leads from it to its authority. */
  readonly cert: string;
  readonly key: string;
  /** The authorities whose client certificates are let in; left out, clients need none. */
  readonly clientCa?: string | undefined;
}

export interface TlsCredentials {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

/** How often the files are looked at. Looking is what works on every file system, and with swapped links. */
const LOOK_EVERY_MS = 5_000;

/**
 * Reads and tries the files.
 * @throws {SluiceError} LISTENER_TLS_FILE (can't be read), LISTENER_TLS_INVALID (no certificate, no key, or not
 * of one another)
 */
export function readTlsFiles({ cert, key, clientCa }: TlsFiles): TlsCredentials {
  const credentials = {
    cert: readPem(cert),
    key: readPem(key),
    ...(clientCa === undefined ? {} : { ca: readPem(clientCa) }),
  };
  try {
    createSecureContext(credentials);
  } catch (error) {
    const files = [cert, key, clientCa].filter((file) => file !== undefined).join(', ');
    throw new SluiceError(
      'LISTENER_TLS_INVALID',
      `TLS can't be had with ${files}: ${errorMessage(error)}. ` +
        'A certificate and its private key are wanted, in PEM and without a password: see mqtt.listeners[].tls.',
      { cause: error },
    );
  }
  return credentials;
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SluiceError('LISTENER_TLS_FILE', `${errorMessage(error)}: see mqtt.listeners[].tls.`, {
      cause: error,
    });
  }
}

/**
 * Looks at the files every few seconds. When they have changed, `changed` gets the new credentials; those that
 * are not sound (a certificate without its new key yet) go to `failed`, once, and the old ones stay.
 */
export function watchTlsFiles(
  files: TlsFiles,
  clock: Clock,
  changed: (credentials: TlsCredentials) => void,
  failed: (error: unknown) => void,
): Cancel {
  let seen = fingerprint(files);
  const look = (): void => {
    cancel = clock.schedule(look, LOOK_EVERY_MS);
    const now = fingerprint(files);
    if (now === seen) return;
    seen = now;
    try {
      changed(readTlsFiles(files));
    } catch (error) {
      failed(error);
    }
  };
  let cancel = clock.schedule(look, LOOK_EVERY_MS);
  return () => cancel();
}

/** Changes when a file does, or what its name leads to. */
function fingerprint({ cert, key, clientCa }: TlsFiles): string {
  return [cert, key, clientCa].map((file) => (file === undefined ? '' : stateOf(file))).join('\n');
}

function stateOf(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    return errorMessage(error);
  }
}
