import type { X509Certificate } from 'node:crypto';

/**
 * What a connection needs of its socket; a net.Socket has it, so has a TLS socket, and WebSocketTransport.
 * Its bytes are read by 'data' events, that is, by public API alone: what that costs is in read-ahead.ts.
 */
export interface Transport {
  /** Bytes written that the kernel has not taken. */
  readonly writableLength: number;
  /** Bytes that Node has read although the transport is paused. */
  readonly readableLength: number;
  readonly destroyed: boolean;
  /** The client's certificate; left out where there is no TLS. */
  getPeerX509Certificate?(): X509Certificate | undefined;
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
  once(event: 'drain', listener: () => void): unknown;
  on(event: 'close' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** A transport's 'error' when it is the client that has broken the rules of what carries MQTT. */
export class TransportFault extends Error {}

/**
 * What is done with a new connection; `remote` is where it comes from, e.g. `192.0.2.7:49152`. Returns what is
 * to be called with the bytes of each read.
 */
export type AcceptTransport = (transport: Transport, remote: string) => (bytes: Buffer) => void;
