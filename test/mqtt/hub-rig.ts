import { expect } from 'vitest';
import type { PublicationSink } from '../../src/core/publication.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { ConnectionHub } from '../../src/mqtt/connection/connection-hub.ts';
import { DEFAULT_LIMITS, type IngressLimits } from '../../src/mqtt/limits.ts';
import { LocalBroker } from '../../src/mqtt/broker/local-broker.ts';
import { IngressStats } from '../../src/mqtt/stats.ts';
import type { Transport } from '../../src/mqtt/edge/transport.ts';
import { TestClock } from './harness.ts';

/** A socket without a network. */
export class Wire implements Transport {
  readonly written: Buffer[] = [];
  readableLength = 0;
  readonly writableLength = 0;
  destroyed = false;
  paused = false;
  ended = false;
  readonly #listeners = new Map<string, () => void>();

  write(bytes: Uint8Array): boolean {
    expect(this.ended).toBe(false);
    this.written.push(Buffer.from(bytes));
    return true;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    this.close();
  }
  once(): void {}
  on(event: string, listener: (error: Error) => void): void {
    this.#listeners.set(event, listener as () => void);
  }
  close(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#listeners.get('close')!();
  }

  /** Packet identifiers of all PUBACKs, PUBRECs or PUBCOMPs written. */
  ids(header: number): number[] {
    const bytes = Buffer.concat(this.written);
    const found: number[] = [];
    for (let at = 0; at < bytes.length; at += 2 + bytes[at + 1]!) {
      if (bytes[at] === header) found.push(bytes.readUInt16BE(at + 2));
    }
    return found;
  }
}

/** All that stands between sockets and the sink, without sockets. */
export async function newHub<S extends PublicationSink>(limits: Partial<IngressLimits>, sink: S) {
  const stats = new IngressStats();
  const all = { ...DEFAULT_LIMITS, ...limits };
  const clock = new TestClock();
  const broker = await LocalBroker.open({ limits: all, stats, clock, logger: silentLogger });
  const hub = new ConnectionHub({ limits: all, sink, broker, stats, clock, logger: silentLogger });
  return { hub, sink, stats, broker, clock };
}

/** Long enough for everything that is due: aedes takes a few turns for a CONNECT. */
export async function turns(count = 6): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}
