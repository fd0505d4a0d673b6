import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Cancel, Clock } from '../../core/clock.ts';

/** What a wire does with the bytes that it carries. */
export type WireState =
  | { readonly kind: 'open' }
  /** Connections are reset, and so is every new one. */
  | { readonly kind: 'refused' }
  /** Nothing passes and nothing is lost, as before a frozen process; opened again, all of it arrives. */
  | { readonly kind: 'held' }
  /**
   * Everything is swallowed without a word. A connection that lost bytes so stays dead for good, open at both
   * ends, as behind a firewall that has forgotten it: only its ends' own patience finds out.
   */
  | { readonly kind: 'silent' }
  /** Every byte comes late, and a connection carries no more than so many a second and direction. */
  | { readonly kind: 'slow'; readonly delayMs: number; readonly bytesPerSecond: number };

/** Turns what one connection carries into what is to be carried; made for each connection. */
export interface Translation {
  /** From the client: the bytes to pass on, which may be fewer or none until more have come. */
  toTarget(chunk: Buffer): Translated;
  toClient(chunk: Buffer): Translated;
}

export interface Translated {
  readonly bytes: Buffer;
  /** Behind these bytes the connection is reset at both ends. */
  readonly thenReset?: boolean;
}

/** Whether bytes, and the news of a connection's end, arrive at all. */
export function carries({ kind }: WireState): boolean {
  return kind === 'open' || kind === 'slow';
}

interface FlowOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly translate: (chunk: Buffer) => Translated;
  readonly clock: Clock;
  readonly reset: () => void;
  /** So many bytes are lost, and the connection with them. */
  readonly swallow: (bytes: number) => void;
}

/** A direction holds so much before its sender is not read any more. */
const MOST_QUEUED_BYTES = 1024 * 1024;

/** One direction of a connection. */
export class Flow {
  readonly #options: FlowOptions;
  #queue: { readonly bytes: Buffer; readonly dueMs: number; readonly thenReset: boolean }[] = [];
  #queuedBytes = 0;
  #state: WireState = { kind: 'open' };
  #freeAtMs = 0;
  #timer: Cancel | undefined;
  #waitsForDrain = false;
  #isDead = false;
  #isFinished = false;

  constructor(options: FlowOptions) {
    this.#options = options;
    options.from.on('data', (chunk: Buffer) => this.#take(chunk));
    options.from.on('end', () => this.finish());
    options.to.on('drain', () => {
      this.#waitsForDrain = false;
      this.#pump();
    });
  }

  changed(state: WireState): void {
    this.#state = state;
    this.#timer?.();
    this.#timer = undefined;
    const { from, swallow } = this.#options;
    if (state.kind === 'silent' && this.#queue.length > 0) swallow(this.#queuedBytes);
    if (state.kind === 'held') from.pause();
    else {
      from.resume();
      this.#pump();
    }
  }

  /** What was on its way is gone, and nothing that follows it may pass. */
  die(): void {
    this.#isDead = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#timer?.();
    // Read on, or its end would not be noticed.
    this.#options.from.resume();
  }

  /** No more will come from the sender: its end follows what is still on its way. */
  finish(): void {
    this.#isFinished = true;
    if (this.#options.to.destroyed) this.die();
    this.#pump();
  }

  #take(chunk: Buffer): void {
    if (this.#isDead || this.#state.kind === 'silent') {
      this.#options.swallow(chunk.length);
      return;
    }
    let translated: Translated;
    try {
      translated = this.#options.translate(chunk);
    } catch {
      this.#options.reset();
      return;
    }
    const { bytes, thenReset = false } = translated;
    if (bytes.length === 0 && !thenReset) return;
    const delayMs = this.#state.kind === 'slow' ? this.#state.delayMs : 0;
    this.#queue.push({ bytes, dueMs: this.#options.clock.monotonicMs() + delayMs, thenReset });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > MOST_QUEUED_BYTES) this.#options.from.pause();
    this.#pump();
  }

  #pump(): void {
    if (!carries(this.#state)) return;
    if (this.#isDead && this.#isFinished) this.#options.to.destroy();
    if (this.#isDead || this.#waitsForDrain || this.#timer !== undefined) return;
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      const waitMs = this.#waitMs(head.dueMs);
      if (waitMs > 0) {
        this.#timer = this.#options.clock.schedule(() => {
          this.#timer = undefined;
          this.#pump();
        }, Math.ceil(waitMs));
        return;
      }
      this.#queue.shift();
      if (!this.#write(head.bytes, head.thenReset)) return;
    }
    if (this.#isFinished) this.#options.to.end();
  }

  #waitMs(dueMs: number): number {
    if (this.#state.kind !== 'slow') return 0;
    return Math.max(dueMs, this.#freeAtMs) - this.#options.clock.monotonicMs();
  }

  /** False when no more may be written now. */
  #write(bytes: Buffer, thenReset: boolean): boolean {
    const { from, to, clock, reset } = this.#options;
    this.#queuedBytes -= bytes.length;
    if (this.#state.kind === 'slow') {
      const startMs = Math.max(this.#freeAtMs, clock.monotonicMs());
      this.#freeAtMs = startMs + (bytes.length * 1000) / this.#state.bytesPerSecond;
    }
    if (thenReset) {
      this.#isDead = true;
      to.write(bytes, reset);
      return false;
    }
    this.#waitsForDrain = !to.write(bytes);
    if (this.#queuedBytes <= MOST_QUEUED_BYTES / 2) from.resume();
    return !this.#waitsForDrain;
  }
}

export interface TcpProxyOptions {
  /** A new connection to what is behind the proxy; it may still be connecting. */
  readonly connect: () => Socket;
  /** Left out, bytes pass as they are. What it throws resets the connection. */
  readonly translation?: () => Translation;
  readonly clock: Clock;
}

const UNCHANGED: Translation = {
  toTarget: (bytes) => ({ bytes }),
  toClient: (bytes) => ({ bytes }),
};

/** A listener on 127.0.0.1 whose connections go on to somewhere else, by way of a wire that can be spoilt. */
export class TcpProxy {
  readonly #options: TcpProxyOptions;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #state: WireState = { kind: 'open' };
  /** What silence has taken so far, in both directions; what is sent on dead connections counts too. */
  swallowedBytes = 0;

  static async open(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  private constructor(options: TcpProxyOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections at this moment. */
  get connections(): number {
    return this.#links.size;
  }

  setState(state: WireState): void {
    this.#state = state;
    for (const link of this.#links) link.changed(state);
  }

  /** Resets every connection at both ends, whatever the state. */
  resetAll(): void {
    for (const link of this.#links) link.reset();
  }

  /** Half-open connections: those that are there lose everything from now on; new ones are as the state says. */
  silenceAll(): void {
    for (const link of this.#links) link.silence();
  }

  async close(): Promise<void> {
    this.resetAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    // The listener stays while connections are refused: a free port could be taken by somebody else.
    if (this.#state.kind === 'refused') {
      client.on('error', () => {}).resetAndDestroy();
      return;
    }
    const { connect, translation, clock } = this.#options;
    const link = new Link(client, connect(), {
      translation: translation?.() ?? UNCHANGED,
      state: this.#state,
      clock,
      onGone: () => {
        this.#links.delete(link);
      },
      onSwallowed: (bytes) => {
        this.swallowedBytes += bytes;
      },
    });
    this.#links.add(link);
  }
}

interface LinkOptions {
  readonly translation: Translation;
  readonly state: WireState;
  readonly clock: Clock;
  /** Both ends are closed. */
  readonly onGone: () => void;
  readonly onSwallowed: (bytes: number) => void;
}

/** One connection: two sockets, and what is on its way between them. */
class Link {
  readonly #client: Socket;
  readonly #target: Socket;
  readonly #flows: readonly Flow[];
  readonly #onGone: () => void;
  #state: WireState;
  #isSilenced = false;

  constructor(client: Socket, target: Socket, options: LinkOptions) {
    const { translation, state, clock, onGone, onSwallowed } = options;
    this.#client = client;
    this.#target = target;
    this.#state = state;
    this.#onGone = onGone;
    const reset = (): void => this.reset();
    const swallow = (bytes: number): void => {
      onSwallowed(bytes);
      for (const flow of this.#flows) flow.die();
    };
    const common = { clock, reset, swallow };
    this.#flows = [
      new Flow({ ...common, from: client, to: target, translate: (chunk) => translation.toTarget(chunk) }),
      new Flow({ ...common, from: target, to: client, translate: (chunk) => translation.toClient(chunk) }),
    ];
    for (const socket of [client, target]) {
      socket.on('error', () => {});
      socket.on('close', () => this.#closed());
    }
    this.changed(state);
  }

  changed(state: WireState): void {
    if (state.kind === 'refused') this.reset();
    if (this.#isSilenced) return;
    this.#state = state;
    if (state.kind !== 'refused') for (const flow of this.#flows) flow.changed(state);
    this.#closed();
  }

  /** Its ends hear no more of each other, whatever becomes of the wire. */
  silence(): void {
    this.changed({ kind: 'silent' });
    this.#isSilenced = true;
    for (const flow of this.#flows) flow.die();
  }

  reset(): void {
    for (const flow of this.#flows) flow.die();
    for (const socket of [this.#client, this.#target]) {
      // TLS has no reset; its end without a goodbye is as sudden.
      if (socket instanceof TLSSocket) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  /** One end is gone: so is the other, unless the wire is one that would not carry the news. */
  #closed(): void {
    if (this.#client.destroyed && this.#target.destroyed) this.#onGone();
    if (!carries(this.#state) || (!this.#client.destroyed && !this.#target.destroyed)) return;
    for (const flow of this.#flows) flow.finish();
  }
}
