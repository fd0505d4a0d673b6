import { readFileSync } from 'node:fs';
import { errorMessage } from '../../core/errors.ts';
import { FrameCipher } from '../../durable-log/frame-cipher.ts';
import { JournalError } from '../errors.ts';
import type { SegmentHeader } from './segment-file.ts';

const KEY_BYTES = 32;

/** Where the key for encryption at rest comes from. */
export type KeySource =
  | { /** Path of a file with the key and nothing else. */ readonly file: string }
  | { /** Name of an environment variable. */ readonly environment: string };

/**
 * Reads a key of 256 bits: 64 hexadecimal digits, 44 characters of base64, or (in a file) 32 raw bytes.
 *
 * @throws JournalError JOURNAL_KEY naming the source, never the key
 */
export function loadKey(source: KeySource): Buffer {
  const name = 'file' in source ? `the key file ${source.file}` : `the variable ${source.environment}`;
  let content: Buffer;
  if ('file' in source) {
    try {
      content = readFileSync(source.file);
    } catch (error) {
      throw keyFault(`${name} can't be read: ${errorMessage(error)}`, { cause: error });
    }
  } else {
    const text = process.env[source.environment];
    if (text === undefined) throw keyFault(`${name} with the journal's key is not set`);
    content = Buffer.from(text, 'utf8');
  }
  if (content.length === KEY_BYTES) return content;
  const text = content.toString('latin1').trim();
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return Buffer.from(text, 'base64');
  const expected = 'expected 64 hexadecimal digits or base64 of 32 bytes (openssl rand -hex 32)';
  throw keyFault(`${name} does not hold a key of 256 bits: ${expected}`);
}

/**
 * The cipher for reading a segment, undefined for one in the clear.
 *
 * @throws JournalError JOURNAL_KEY without the key that it was written with
 */
export function cipherFor(
  header: SegmentHeader,
  journalKey: Buffer | undefined,
  file: string,
): FrameCipher | undefined {
  if (!header.encrypted) return undefined;
  if (journalKey === undefined) throw keyFault(`${file} is encrypted, and no key is configured`);
  const cipher = new FrameCipher(journalKey, header.salt);
  if (!cipher.keyCheck.equals(header.keyCheck)) {
    throw keyFault(`${file} was encrypted with another key than the configured one`);
  }
  return cipher;
}

/** The key is missing, malformed, or not the one that the journal was written with. */
function keyFault(message: string, options?: ErrorOptions): JournalError {
  return new JournalError('JOURNAL_KEY', message, options);
}
