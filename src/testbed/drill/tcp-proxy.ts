import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { carries, Flow, type Translation, type WireState } from './wire.ts';

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
  #swallowedBytes = 0;

  static async open(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  private constructor(options: TcpProxyOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true }, (client) => {
      this.#accept(client);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections at this moment. */
  get connections(): number {
    return this.#links.size;
  }

  /** What silence has taken so far, in both directions; what is sent on dead connections counts too. */
  get swallowedBytes(): number {
    return this.#swallowedBytes;
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
        this.#swallowedBytes += bytes;
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
    const reset = (): void => {
      this.reset();
    };
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
      socket.on('close', () => {
        this.#closed();
      });
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
