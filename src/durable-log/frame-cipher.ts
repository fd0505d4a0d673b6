import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
export const SALT_BYTES = 32;
export const KEY_CHECK_BYTES = 16;

/**
 * AES-256-GCM for the frames of one segment. Every segment has a key of its own (HKDF-SHA-256 of the journal's key
 * with the salt in its header, RFC 5869), and the nonce is the frame's offset. A segment is written by one process
 * life, strictly forward, so that no offset is ever encrypted twice with other content; a crash can't rewind it,
 * because after a crash writing goes on in a new segment with a new salt.
 */
export class FrameCipher {
  readonly #key: Buffer;
  /** Tells a wrong key from damaged data; derived beside the key, and reveals nothing of it. */
  readonly keyCheck: Buffer;

  constructor(journalKey: Buffer, salt: Buffer) {
    const derived = Buffer.from(
      hkdfSync('sha256', journalKey, salt, 'sluice journal segment v1', KEY_BYTES + KEY_CHECK_BYTES),
    );
    this.#key = derived.subarray(0, KEY_BYTES);
    this.keyCheck = derived.subarray(KEY_BYTES);
  }

  /** Encrypts `plain` into `target` at `position`, followed by the tag; returns the position behind it. */
  seal(plain: Buffer, offset: number, target: Buffer, position: number): number {
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce(offset));
    target.set(cipher.update(plain), position);
    cipher.final();
    target.set(cipher.getAuthTag(), position + plain.length);
    return position + plain.length + TAG_BYTES;
  }

  /** Decrypts what {@link seal} wrote, or returns undefined when the tag says that it isn't that. */
  open(sealed: Buffer, offset: number): Buffer | undefined {
    if (sealed.length < TAG_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce(offset), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return plain;
  }
}

function nonce(offset: number): Buffer {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeDoubleLE(offset, 0);
  return bytes;
}
