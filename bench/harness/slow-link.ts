import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Link } from './workloads.ts';

/** What may be on its way in one direction of one connection: the bandwidth-delay product, and a router's queue. */
const QUEUE_MS = 200;

/**
 * A TCP proxy that behaves like a long, thin link: every byte takes half a round trip, and each direction, which
 * all connections share, carries so many bits a second. When the queue is full the sender has to wait, as with
 * TCP's own window.
 */
export class SlowLink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** Listens on `port` of 127.0.0.1 and passes on to `targetPort`. */
  static async open(port: number, targetPort: number, link: Link): Promise<SlowLink> {
    const slow = new SlowLink(targetPort, link);
    await new Promise<void>((resolve, reject) => {
      slow.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return slow;
  }

  private constructor(targetPort: number, link: Link) {
    const up = new Direction(link);
    const down = new Direction(link);
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = connect({ host: '127.0.0.1', port: targetPort, noDelay: true });
      this.#join(near, far, up);
      this.#join(far, near, down);
    });
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(from: Socket, to: Socket, direction: Direction): void {
    this.#sockets.add(from);
    from.on('data', (chunk) => {
      const fullForMs = direction.carry(chunk.length, () => {
        if (!to.destroyed) to.write(chunk);
      });
      if (fullForMs <= 0) return;
      from.pause();
      setTimeout(() => from.resume(), fullForMs);
    });
    from.on('end', () => direction.carry(0, () => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      // What is on its way still arrives.
      direction.carry(0, () => to.destroy());
    });
  }
}

/** One direction of the link: bytes leave one after the other at its rate, and arrive half a round trip later. */
class Direction {
  readonly #bytesPerMs: number;
  readonly #delayMs: number;
  /** When the last byte that was taken will have left. */
  #freeAtMs = 0;

  constructor({ roundTripMs, megabitsPerSecond }: Link) {
    this.#bytesPerMs = (megabitsPerSecond * 1e6) / 8 / 1000;
    this.#delayMs = roundTripMs / 2;
  }

  /** Calls `arrived` when the bytes are there; returns for how many milliseconds the queue is full. */
  carry(bytes: number, arrived: () => void): number {
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + bytes / this.#bytesPerMs;
    setTimeout(arrived, this.#freeAtMs + this.#delayMs - nowMs);
    return Math.max(0, this.#freeAtMs - nowMs - QUEUE_MS);
  }
}
