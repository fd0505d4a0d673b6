import type { X509Certificate } from 'node:crypto';

/** Who stands behind a connection, as its authentication has found out. */
export interface Principal {
  /** One for each user or device; empty: nobody has said who they are. */
  readonly identity: string;
  readonly groups: readonly string[];
  /** What has proven the identity. */
  readonly proof: 'none' | 'password' | 'token' | 'certificate';
  /** Wall clock, ms since 1970: at this time the proof expires, and the connection ends. Infinity: never. */
  readonly untilMs: number;
}

/** What a client shows of itself before the gateway does anything for it. */
export interface Credentials {
  readonly clientId: string;
  readonly userName: string | undefined;
  readonly password: Buffer | undefined;
  /** The name of the listener, e.g. `0.0.0.0:8883`. */
  readonly listener: string;
  /** Where the client is, e.g. `192.0.2.7:49152`. */
  readonly remote: string;
  /** The client's TLS certificate, which the listener's authorities have signed. */
  readonly certificate: X509Certificate | undefined;
}

/** Why a client is not let in. */
export interface AuthenticationRefusal {
  /** `unavailable`: there was no answer, and the client may try again. */
  readonly refused: 'bad-credentials' | 'not-authorised' | 'unavailable';
  /** For the log. */
  readonly detail: string;
}

/** Finds out who a client is, before its own session or another one is touched. */
export interface Authenticator {
  /** Answers at once, or later. A rejection counts as `unavailable`. */
  authenticate(credentials: Credentials): Authentication | Promise<Authentication>;
}

type Authentication = Principal | AuthenticationRefusal;

/** What a client wants to do with a topic; `subscribe` asks about a topic filter. */
export type TopicAction = 'publish' | 'subscribe';

/** Says who may do what. */
export interface Permissions {
  /**
   * 0: everybody may do everything, and {@link decide} is never called. Otherwise it grows whenever {@link decide}
   * may answer differently. Until it grows, each connection remembers the answers for its topics.
   */
  readonly epoch: number;
  decide(principal: Principal, action: TopicAction, topic: string): 'allow' | 'deny';
}

const ANONYMOUS: Principal = { identity: '', groups: [], proof: 'none', untilMs: Infinity };

/** Lets everybody in, and asks for nothing. */
export const everybody: Authenticator = { authenticate: () => ANONYMOUS };

/** Allows everything. */
export const everything: Permissions = { epoch: 0, decide: () => 'allow' };
