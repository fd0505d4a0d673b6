import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { Clock } from '../../core/clock.ts';

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
export function openSocket(
  host: string,
  port: number,
  { tls, timeoutMs, clock }: SocketOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tls === undefined ? connectTcp({ host, port }) : connectTls({ ...tls, host, port });
    const fail = (error: Error): void => {
      cancelTimeout();
      socket.destroy();
      reject(error);
    };
    const cancelTimeout = clock.schedule(() => {
      fail(setupTimeout(timeoutMs));
    }, timeoutMs);
    const onClose = (): void => {
      fail(new Error('the connection was closed'));
    };
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

export function setupTimeout(timeoutMs: number): Error {
  return new Error(`socket.connection.setup.timeout.ms (${timeoutMs} ms) is over`);
}
