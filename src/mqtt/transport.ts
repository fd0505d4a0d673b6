import { Socket, type SocketConstructorOpts } from 'node:net';
import { READ_CHUNK_BYTES } from './read-ahead.ts';

/** What a connection needs of its socket; a net.Socket has it, and so have TLS and WebSocket streams. */
export interface Transport {
  readonly writableLength: number;
  readonly destroyed: boolean;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
  once(event: 'drain', listener: () => void): unknown;
  on(event: 'close' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** All sockets read into the same bytes: whoever is handed them copies what it keeps. */
const sharedBuffer = Buffer.allocUnsafeSlow(READ_CHUNK_BYTES);

/**
 * Replaces a socket that a net.Server has accepted with one that reads into a shared buffer (`onread`, which
 * net.Server does not offer). Without it, Node allocates 64 KB for every read, and a paused socket has already
 * read up to 64 KB more. The server must have `pauseOnConnect`. What `accept` returns is called with each
 * read's bytes, valid during the call.
 */
export function adopt(accepted: Socket, accept: (transport: Transport) => (bytes: Buffer) => void): Socket {
  const owner = accepted as unknown as { _handle: object | null };
  const handle = owner._handle;
  if (handle === null) return accepted;
  let received: (bytes: Buffer) => void = () => {};
  const options = {
    handle,
    readable: true,
    writable: true,
    onread: {
      buffer: sharedBuffer,
      callback: (length: number): boolean => {
        received(sharedBuffer.subarray(0, length));
        return true;
      },
    },
  };
  const socket = new Socket(options as unknown as SocketConstructorOpts);
  // The server counts the accepted socket as gone; without its handle nothing is closed.
  owner._handle = null;
  accepted.destroy();
  received = accept(socket);
  return socket;
}
