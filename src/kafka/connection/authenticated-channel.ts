import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import { BrokerUnavailableError, UnsupportedBrokerError, type ProducerError } from '../../producer/errors.ts';
import { fetchApiVersions, type ApiVersion, type NegotiatedVersions } from '../protocol/api-versions.ts';
import { securityFailure } from '../security/failure.ts';
import { logIn, prepareLogin } from '../security/login.ts';
import type { ClientSecurity } from '../security/security.ts';
import { RequestChannel, type RequestChannelOptions } from './request-channel.ts';

/** A connection that nobody uses is looked after by the kernel from here on: some firewalls forget it in silence. */
const KEEP_ALIVE_AFTER_MS = 60_000;

export interface SocketOptions {
  /** undefined: no TLS. */
  readonly tls: ConnectionOptions | undefined;
  /** How long all of it may take: finding the address, TCP and TLS. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * A socket to a broker; with TLS, when the handshake is done and the broker's certificate verified. Nothing that
 * happens to it later throws: whoever uses it listens to 'error' and 'close'.
 *
 * @throws Error as node:net and node:tls give it, or that the time is up
 */
export function openSocket(host: string, port: number, options: SocketOptions): Promise<Socket> {
  const { tls, timeoutMs, clock } = options;
  return new Promise((resolve, reject) => {
    const socket = tls === undefined ? connectTcp({ host, port }) : connectTls({ ...tls, host, port });
    const fail = (error: Error): void => {
      cancelTimeout();
      socket.destroy();
      reject(error);
    };
    const cancelTimeout = clock.schedule(() => fail(setupTimeout(timeoutMs)), timeoutMs);
    const onClose = (): void => fail(new Error('the connection was closed'));
    socket.on('error', fail);
    socket.once('close', onClose);
    socket.once('connect', () => {
      socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    });
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      cancelTimeout();
      socket.off('close', onClose);
      resolve(socket);
    });
  });
}

function setupTimeout(timeoutMs: number): Error {
  return new Error(`socket.connection.setup.timeout.ms (${timeoutMs} ms) is over`);
}

export interface ChannelOptions extends RequestChannelOptions {
  /** How long an opening may take: connection, TLS, versions and login together. */
  readonly connectTimeoutMs: number;
  readonly security: ClientSecurity;
}

/** A login is renewed when this share of its life is over (Java's client: at 85 to 95 %). */
const RENEWED_AT = 0.8;
/** Timers of Node go no further than this: what is longer would run at once. */
const LONGEST_TIMER_MS = 0x7fff_ffff;

/**
 * One connection to a broker that takes requests: its socket is open, the versions of the protocol are agreed, and
 * we are logged in, where that is wanted, and stay so.
 */
export class AuthenticatedChannel {
  /** What the broker speaks. */
  readonly versions: NegotiatedVersions;

  readonly #address: string;
  readonly #channel: RequestChannel;
  readonly #options: ChannelOptions;
  /** While we log in again: requests that wait for that, in their order. */
  #held: (() => void)[] | undefined;
  #cancelRenewal: Cancel = () => {};
  #hasServed = false;
  #unanswered = 0;

  private constructor(
    address: string,
    channel: RequestChannel,
    versions: NegotiatedVersions,
    options: ChannelOptions,
  ) {
    this.versions = versions;
    this.#address = address;
    this.#channel = channel;
    this.#options = options;
  }

  /**
   * Connects, and logs in. `onClose` is called once when the connection is gone, by whatever cause.
   * @throws BrokerSecurityError the broker and we don't trust each other
   * @throws UnsupportedBrokerError it is too old
   * @throws BrokerUnavailableError it can't be reached, or does not answer as a broker does
   */
  static async open(
    host: string,
    port: number,
    options: ChannelOptions,
    onClose: () => void,
  ): Promise<AuthenticatedChannel> {
    const { security, clock, connectTimeoutMs } = options;
    const address = `${host}:${port}`;
    let channel: RequestChannel | undefined;
    let cancelTimeout: Cancel = () => {};
    try {
      const login = security.sasl && (await prepareLogin(security.sasl));
      const tls = security.tls?.(host);
      const endMs = clock.monotonicMs() + connectTimeoutMs;
      const socket = await openSocket(host, port, { tls, timeoutMs: connectTimeoutMs, clock });
      const answering = new RequestChannel(socket, options);
      channel = answering;
      // A broker that accepts connections and then says nothing is given up as soon as one that can't be reached.
      const restMs = Math.max(0, endMs - clock.monotonicMs());
      cancelTimeout = clock.schedule(() => answering.end(setupTimeout(connectTimeoutMs)), restMs);
      // Brokers tell their versions before a login, so that clients know how to log in (KIP-35).
      const versions = await fetchApiVersions(channel, address);
      const lifetimeMs = login === undefined ? 0 : await logIn(channel, versions, login);
      const opened = new AuthenticatedChannel(address, channel, versions, options);
      channel.onGone = () => {
        opened.#cancelRenewal();
        onClose();
      };
      opened.#renewIn(lifetimeMs);
      return opened;
    } catch (error) {
      channel?.end(error as Error);
      const what = channel === undefined ? "can't be reached" : 'was reached, but gave no usable answer';
      throw failure(error, address, security, `${address} ${what}`);
    } finally {
      cancelTimeout();
    }
  }

  get isConnected(): boolean {
    return this.#channel.isOpen;
  }

  /** Whether the broker has answered anything but what it also answers to strangers, and the login. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  /** Requests that wait for their answers. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /**
   * Sends one request; requests leave in the order of the calls.
   * @returns the response's body, behind its header
   * @throws BrokerUnavailableError when none came
   */
  async request(api: ApiVersion, body: readonly Uint8Array[]): Promise<Buffer> {
    this.#unanswered++;
    try {
      const answer = await (this.#held === undefined
        ? this.#channel.request(api, body)
        : this.#whenLoggedIn(() => this.#channel.request(api, body)));
      this.#hasServed = true;
      return answer;
    } catch (error) {
      throw this.#unavailable(error);
    } finally {
      this.#unanswered--;
    }
  }

  /** Sends a request that the broker does not answer: Produce with acks=0. Resolves when the kernel has it. */
  async notify(api: ApiVersion, body: readonly Uint8Array[]): Promise<void> {
    try {
      await (this.#held === undefined
        ? this.#channel.notify(api, body)
        : this.#whenLoggedIn(() => this.#channel.notify(api, body)));
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  async close(): Promise<void> {
    await this.#channel.close();
  }

  /** Logins have an end (connections.max.reauth.ms, or the token's; KIP-368) and are renewed before it. */
  #renewIn(lifetimeMs: number): void {
    if (lifetimeMs <= 0 || !this.#channel.isOpen) return;
    const delayMs = Math.min(lifetimeMs * RENEWED_AT, LONGEST_TIMER_MS);
    this.#cancelRenewal = this.#options.clock.schedule(() => void this.#renew(), delayMs);
  }

  /**
   * While a login is renewed the broker takes no other request: it would close the connection. Those that are under
   * way it answers first.
   */
  async #renew(): Promise<void> {
    const { sasl } = this.#options.security;
    if (sasl === undefined) return;
    const held: (() => void)[] = [];
    try {
      const login = await prepareLogin(sasl);
      this.#held = held;
      this.#renewIn(await logIn(this.#channel, this.versions, login));
    } catch (error) {
      this.#channel.end(error as Error);
    }
    this.#held = undefined;
    for (const send of held) send();
  }

  #whenLoggedIn<T>(send: () => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      this.#held?.push(() => resolve(send()));
    });
  }

  #unavailable(error: unknown): ProducerError {
    // What a broker holds against a certificate or a login may come after the connection was made.
    return failure(error, this.#address, this.#options.security, `no answer from ${this.#address}`);
  }
}

function failure(error: unknown, address: string, { protocol }: ClientSecurity, what: string): ProducerError {
  const ofSecurity = securityFailure(error, address, protocol);
  if (ofSecurity !== undefined) return ofSecurity;
  if (error instanceof UnsupportedBrokerError) return error;
  return new BrokerUnavailableError(`${what}: ${rootMessage(error)}`, { cause: error });
}

/** The message of the first cause, or of the first of several attempts: "connect ECONNREFUSED …" says the most. */
function rootMessage(error: unknown): string {
  let root = error;
  while (root instanceof Error && root.cause !== undefined) root = root.cause;
  if (root instanceof AggregateError && root.message === '') return rootMessage(root.errors[0]);
  const message = errorMessage(root);
  return message === '' && root instanceof Error && 'code' in root ? String(root.code) : message;
}
