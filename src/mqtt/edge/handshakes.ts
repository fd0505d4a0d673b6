import type { Socket } from 'node:net';
import type { Cancel, Clock } from '../../core/clock.ts';

interface Handshake {
  /** Where the client is, e.g. `192.0.2.7:49152`. */
  remote: string;
  readonly cancel: Cancel;
  readonly closed: () => void;
  /** Why it is about to end. */
  detail: string | undefined;
}

export interface HandshakesOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly max: number;
  /** A connection has ended before it was one of MQTT. */
  readonly failed: (remote: string, reason: HandshakeEnd, detail: string) => void;
}

export type HandshakeEnd = 'handshake-failed' | 'connect-timeout' | 'too-many-connections';

/**
 * The connections of one listener that are not MQTT yet: what must come first (PROXY header, TLS, WebSocket)
 * has to come in time, and from so many at once at most.
 */
export class Handshakes {
  readonly #options: HandshakesOptions;
  readonly #handshakes = new Map<Socket, Handshake>();

  constructor(options: HandshakesOptions) {
    this.#options = options;
  }

  /** Returns false if there are too many: the socket is closed then. */
  begin(socket: Socket, remote: string): boolean {
    const { clock, timeoutMs, max, failed } = this.#options;
    socket.on('error', (error) => this.explain(socket, error.message));
    if (this.#handshakes.size >= max) {
      failed(remote, 'too-many-connections', 'too many are on their way to be connections');
      socket.destroy();
      return false;
    }
    const handshake: Handshake = {
      remote,
      detail: undefined,
      closed: () => {
        const detail = handshake.detail ?? 'the connection ended before MQTT began';
        if (this.#forget(socket)) failed(handshake.remote, 'handshake-failed', detail);
      },
      cancel: clock.schedule(() => {
        if (this.#forget(socket)) {
          failed(handshake.remote, 'connect-timeout', 'what comes before MQTT did not come in time');
        }
        socket.destroy();
      }, timeoutMs),
    };
    this.#handshakes.set(socket, handshake);
    socket.once('close', handshake.closed);
    return true;
  }

  /** It is known now who is behind the load balancer. */
  identify(socket: Socket, remote: string): void {
    const handshake = this.#handshakes.get(socket);
    if (handshake !== undefined) handshake.remote = remote;
  }

  /** It is about to end, and this is why. */
  explain(socket: Socket, detail: string): void {
    const handshake = this.#handshakes.get(socket);
    if (handshake !== undefined) handshake.detail ??= detail;
  }

  /** The handshake is done: the connection is MQTT's now. Returns where the client is. */
  finish(socket: Socket): string | undefined {
    const remote = this.#handshakes.get(socket)?.remote;
    this.#forget(socket);
    return remote;
  }

  /** Ends all of them. */
  clear(): void {
    for (const socket of [...this.#handshakes.keys()]) {
      this.#forget(socket);
      socket.destroy();
    }
  }

  #forget(socket: Socket): boolean {
    const handshake = this.#handshakes.get(socket);
    if (handshake === undefined) return false;
    this.#handshakes.delete(socket);
    socket.off('close', handshake.closed);
    handshake.cancel();
    return true;
  }
}
