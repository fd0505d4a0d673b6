import { connect } from 'node:tls';
import type { ISocketFactory, KafkaConfig } from './kafkajs.ts';
import { rejectedTokenReason, type BearerToken } from '../security/oauth.ts';
import type { Sasl } from '../security/sasl.ts';
import type { ClientSecurity } from '../security/security.ts';

/** Security in kafkajs's terms, for every client that is made with it. */
export function securityConfig({
  tls,
  sasl,
}: ClientSecurity): Pick<KafkaConfig, 'ssl' | 'sasl' | 'socketFactory'> {
  return {
    // `ssl` says that TLS is on; what is done is the socket factory's.
    ...(tls === undefined ? {} : { ssl: true, socketFactory: tlsSockets(tls) }),
    ...(sasl === undefined ? {} : { sasl: saslConfig(sasl) }),
  };
}

const KEEP_ALIVE_MS = 60_000;

/** Sockets as kafkajs makes them itself, but each with the certificates of that moment. */
function tlsSockets(tls: NonNullable<ClientSecurity['tls']>): ISocketFactory {
  return ({ host, port, onConnect }) => {
    const socket = connect({ host, port, ...tls(host) }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    return socket;
  };
}

type SaslConfig = NonNullable<KafkaConfig['sasl']>;

const NAMES = {
  PLAIN: 'plain',
  'SCRAM-SHA-256': 'scram-sha-256',
  'SCRAM-SHA-512': 'scram-sha-512',
} as const;

function saslConfig(sasl: Sasl): SaslConfig {
  if (sasl.mechanism === 'OAUTHBEARER') return bearerConfig(() => sasl.token());
  const config = {
    mechanism: NAMES[sasl.mechanism],
    // Read by kafkajs at each login.
    get username() {
      return sasl.credentials().username;
    },
    get password() {
      return sasl.credentials().password;
    },
  };
  // kafkajs's types want one shape a mechanism, and these three have the same.
  return config as SaslConfig;
}

/** kafkajs's own OAUTHBEARER takes a broker's refusal for consent: it does not read the answer. */
function bearerConfig(token: () => Promise<BearerToken>): SaslConfig {
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ saslAuthenticate }) => ({
      async authenticate() {
        const message = lengthPrefixed(bearerMessage(await token()));
        await saslAuthenticate({
          request: { encode: () => message },
          response: {
            decode: (bytes) => bytes.subarray(4),
            parse(bytes) {
              const reason = rejectedTokenReason(bytes);
              if (reason !== undefined) throw new Error(`authentication failed: ${reason}`);
            },
          },
        });
      },
    }),
  };
}

/** The client's only message (RFC 7628, section 3.1). */
function bearerMessage({ value, extensions }: BearerToken): string {
  const pairs = Object.entries(extensions).map(([name, text]) => `${name}=${text}\u0001`);
  return `n,,\u0001auth=Bearer ${value}\u0001${pairs.join('')}\u0001`;
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
