import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { SluiceError, errorMessage } from '../core/errors.ts';
import { adopt, type Transport } from './transport.ts';

/** Where devices connect. */
export interface ListenerSpec {
  readonly type: 'tcp';
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

/** Where a listener really is. */
export interface ListenerAddress {
  readonly type: ListenerSpec['type'];
  readonly host: string;
  readonly port: number;
}

/** What is done with a new connection. Returns what is to be called with the bytes of each read. */
export type AcceptTransport = (transport: Transport) => (bytes: Buffer) => void;

/** A TCP port that devices connect to. */
export class TcpListener {
  readonly #spec: ListenerSpec;
  readonly #server: Server;

  constructor(spec: ListenerSpec, accept: AcceptTransport, failed: (error: Error) => void) {
    this.#spec = spec;
    this.#server = createServer(
      // A dead peer of a connection without keepalive is found by TCP's own.
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, pauseOnConnect: true },
      (accepted: Socket) => {
        adopt(accepted, accept).resume();
      },
    );
    this.#server.on('error', failed);
  }

  /**
   * @throws {SluiceError} LISTENER_PORT_IN_USE, LISTENER_NOT_PERMITTED, LISTENER_ADDRESS_UNKNOWN,
   * LISTENER_FAILED
   */
  listen(): Promise<void> {
    const { host, port } = this.#spec;
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException): void => {
        reject(listenError(error, `${host}:${port}`));
      };
      this.#server.once('error', failed);
      this.#server.listen({ host, port, backlog: 4_096 }, () => {
        this.#server.off('error', failed);
        resolve();
      });
    });
  }

  address(): ListenerAddress {
    const { host } = this.#spec;
    const { port } = this.#server.address() as AddressInfo;
    return { type: 'tcp', host, port };
  }

  /** Takes no further connections; the open ones stay. */
  close(): void {
    if (this.#server.listening) this.#server.close();
  }
}

function listenError(error: NodeJS.ErrnoException, address: string): SluiceError {
  const change = 'change mqtt.listeners in the configuration';
  switch (error.code) {
    case 'EADDRINUSE':
      return new SluiceError(
        'LISTENER_PORT_IN_USE',
        `MQTT can't listen on ${address}: another process has this port. Stop it, or ${change}.`,
        { cause: error },
      );
    case 'EACCES':
      return new SluiceError(
        'LISTENER_NOT_PERMITTED',
        `MQTT can't listen on ${address}: this user may not. Choose a port above 1023: ${change}.`,
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new SluiceError(
        'LISTENER_ADDRESS_UNKNOWN',
        `MQTT can't listen on ${address}: this machine has no such address. To fix it, ${change}.`,
        { cause: error },
      );
    default:
      return new SluiceError('LISTENER_FAILED', `MQTT can't listen on ${address}: ${errorMessage(error)}`, {
        cause: error,
      });
  }
}
