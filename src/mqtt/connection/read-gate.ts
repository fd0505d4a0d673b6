import type { ConnectionContext } from './connection-context.ts';
import type { Connection } from './connection.ts';
import type { Transport } from '../edge/transport.ts';

/** Bytes for a device that it doesn't read; above this it isn't read either. */
const MAX_UNSENT_BYTES = 64 * 1024;
/** Control packets that aedes has not read yet. */
const MAX_UNREAD_CONTROL_BYTES = 64 * 1024;
/** A closed gate opens when so much of each bound is free. */
const REOPEN_SHARE = 0.5;

/** The hard bound of one connection: decides when its socket isn't read. */
export class ReadGate {
  readonly #connection: Connection;
  readonly #transport: Transport;
  readonly #context: ConnectionContext;
  #closed = false;

  constructor(connection: Connection, transport: Transport, context: ConnectionContext) {
    this.#connection = connection;
    this.#transport = transport;
    this.#context = context;
  }

  /** After every read. */
  check(): void {
    if (this.#isFull(1)) this.close();
  }

  /** The socket isn't read any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transport.pause();
    this.#context.paused(this.#connection, true);
  }

  /** The socket is read again, if nothing speaks against it. */
  reopen(): void {
    if (!this.#closed || this.#isFull(REOPEN_SHARE)) return;
    this.abandon();
    this.#transport.resume();
  }

  /** The connection has ended. */
  abandon(): void {
    if (this.#closed) this.#context.paused(this.#connection, false);
    this.#closed = false;
  }

  /**
   * Whether the keepalive clock stands still: we don't look, so we can't say that the device is silent. Unless
   * it is held for not reading.
   */
  get holdsClock(): boolean {
    return this.#closed && this.#connection.unsentBytes <= MAX_UNSENT_BYTES * REOPEN_SHARE;
  }

  #isFull(share: number): boolean {
    const { waitingBytes, unreadControlBytes, unsentBytes } = this.#connection;
    const { memory } = this.#context;
    return (
      (waitingBytes > 0 && waitingBytes > memory.allowanceBytes * share) ||
      unsentBytes > MAX_UNSENT_BYTES * share ||
      unreadControlBytes > MAX_UNREAD_CONTROL_BYTES * share ||
      memory.exhausted
    );
  }
}
