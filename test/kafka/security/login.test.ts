import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { LoginError, type Exchange } from '../../../src/kafka/security/sasl.ts';
import { scramLogin, type ScramMechanism } from '../../../src/kafka/security/login.ts';

/** Answers one message after the other, and keeps what it was told. */
function broker(...answers: readonly string[]): { said: string[]; exchange: Exchange } {
  const said: string[] = [];
  return {
    said,
    exchange: (message) => {
      said.push(message.toString());
      return Promise.resolve(Buffer.from(answers[said.length - 1]!));
    },
  };
}

// RFC 7677, section 3.
const NONCE = 'rOprNGfwEbeRWgbNEkqO';
const SERVER_NONCE = `${NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`;
const SERVER_FIRST = `r=${SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const SERVER_FINAL = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';
const PENCIL = { username: 'user', password: 'pencil' };

/** A server that knows a user by stored and server key alone (RFC 5802, section 3), and checks the proof by them. */
function server(hash: 'sha256' | 'sha512', password: string): { user: () => string; exchange: Exchange } {
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
  const digest = (bytes: Buffer): Buffer => createHash(hash).update(bytes).digest();
  const salt = Buffer.from('salt of this user');
  const salted = pbkdf2Sync(password, salt, 4_096, digest(salt).length, hash);
  const storedKey = digest(hmac(salted, 'Client Key'));
  let first = '';
  let challenge = '';
  return {
    user: () => /^n,,n=(.*),r=/.exec(first)![1]!,
    exchange: (message) => {
      const text = message.toString();
      if (first === '') {
        first = text;
        challenge = `${/r=.*$/.exec(text)![0]}theirs,s=${salt.toString('base64')},i=4096`;
        return Promise.resolve(Buffer.from(challenge));
      }
      const [, withoutProof, proof] = /^(.*),p=(.*)$/.exec(text)!;
      const auth = `${first.slice(3)},${challenge},${withoutProof}`;
      const signature = hmac(storedKey, auth);
      const clientKey = Buffer.from(proof!, 'base64').map((byte, i) => byte ^ signature[i]!);
      if (!digest(Buffer.from(clientKey)).equals(storedKey))
        return Promise.resolve(Buffer.from('e=invalid-proof'));
      return Promise.resolve(Buffer.from(`v=${hmac(hmac(salted, 'Server Key'), auth).toString('base64')}`));
    },
  };
}

describe('a login by SCRAM', () => {
  it("says what RFC 7677's example says, and accepts the server's signature there", async () => {
    const { said, exchange } = broker(SERVER_FIRST, SERVER_FINAL);
    await scramLogin('SCRAM-SHA-256', PENCIL, exchange, NONCE);
    expect(said).toEqual([
      `n,,n=user,r=${NONCE}`,
      `c=biws,r=${SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`,
    ]);
  });

  it.each<[ScramMechanism, 'sha256' | 'sha512']>([
    ['SCRAM-SHA-256', 'sha256'],
    ['SCRAM-SHA-512', 'sha512'],
  ])(
    '%s proves the password to a server that does not have it, and is refused with another one',
    async (mechanism, hash) => {
      const username = 'a=b,c,d';
      const known = server(hash, 'pässwörd');
      await scramLogin(mechanism, { username, password: 'pässwörd' }, known.exchange);
      expect(known.user()).toBe('a=3Db=2Cc=2Cd');
      const wrong = scramLogin(
        mechanism,
        { username, password: 'passwort' },
        server(hash, 'pässwörd').exchange,
      );
      await expect(wrong).rejects.toThrow('refused our login (invalid-proof): check user and password');
    },
  );

  it('takes another nonce each time', async () => {
    const first = broker('');
    const second = broker('');
    await scramLogin('SCRAM-SHA-256', PENCIL, first.exchange).catch(() => {});
    await scramLogin('SCRAM-SHA-256', PENCIL, second.exchange).catch(() => {});
    expect(first.said[0]).not.toBe(second.said[0]);
  });

  it.each([
    ['no message of SCRAM', 'hello', /does not speak SCRAM/],
    ['an extension that must be understood', `m=x,${SERVER_FIRST}`, /does not speak SCRAM/],
    ['the answer to another login', SERVER_FIRST.replace(NONCE, 'somebodyElse'), /wrong nonce/],
    ['a nonce without its own part', `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`, /wrong nonce/],
    ['too few iterations', SERVER_FIRST.replace('4096', '4095'), /wants 4095 iterations/],
    ['iterations without end', SERVER_FIRST.replace('4096', '2000000000'), /wants 2000000000 iterations/],
  ])('ends before anything of the password is said: %s', async (_, challenge, words) => {
    const { said, exchange } = broker(challenge, SERVER_FINAL);
    const login = scramLogin('SCRAM-SHA-256', PENCIL, exchange, NONCE);
    await expect(login).rejects.toThrow(words);
    await expect(login).rejects.toBeInstanceOf(LoginError);
    expect(said).toHaveLength(1);
  });

  it.each([
    ['another signature', 'v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=', /wrong signature/],
    ['a short one', 'v=6rri', /wrong signature/],
    ['none', '', /wrong signature/],
    ['an error', 'e=other-error', /refused our login \(other-error\)/],
  ])('does not believe a broker that does not know the password: %s', async (_, final, words) => {
    const { exchange } = broker(SERVER_FIRST, final);
    await expect(scramLogin('SCRAM-SHA-256', PENCIL, exchange, NONCE)).rejects.toThrow(words);
  });
});
