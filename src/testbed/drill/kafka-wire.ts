import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { TcpProxy } from './tcp-proxy.ts';
import type { WireState } from './wire.ts';
import { AddressTranslation, type Address } from './address-translation.ts';
import type { ClientSecurity } from '../../kafka/security/security.ts';

/**
 * A wire between the gateway under test and every broker of a cluster: a proxy in front of each, and all
 * addresses that brokers tell are those of the proxies. TLS ends here: brokers' certificates are verified by the
 * proxies, as configured, and the gateway speaks to them in the clear on loopback; logins pass as they are.
 */
export class KafkaWire {
  readonly #security: ClientSecurity;
  readonly #clock: Clock;
  readonly #proxies = new Map<string, TcpProxy>();
  /** Brokers that were heard of while the wire was open already. */
  readonly #opening = new Map<string, Promise<void>>();
  #state: WireState = { kind: 'open' };
  #isClosed = false;

  static async open(brokers: readonly Address[], security: ClientSecurity, clock: Clock): Promise<KafkaWire> {
    const wire = new KafkaWire(security, clock);
    try {
      for (const broker of brokers) await wire.#open(broker);
    } catch (error) {
      await wire.close();
      throw error;
    }
    return wire;
  }

  private constructor(security: ClientSecurity, clock: Clock) {
    this.#security = security;
    this.#clock = clock;
  }

  get bootstrapServers(): string[] {
    return [...this.#proxies.values()].map(({ port }) => `127.0.0.1:${port}`);
  }

  readonly setState = (state: WireState): void => {
    this.#state = state;
    for (const proxy of this.#proxies.values()) proxy.setState(state);
  };

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#opening.values());
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
    this.#proxies.clear();
  }

  async #open(broker: Address): Promise<void> {
    const name = nameOf(broker);
    if (this.#proxies.has(name)) return;
    const proxy = await TcpProxy.open({
      connect: () => this.#connect(broker),
      translation: () => new AddressTranslation((address) => this.#proxyOf(address)),
      clock: this.#clock,
    });
    proxy.setState(this.#state);
    this.#proxies.set(name, proxy);
  }

  #connect({ host, port }: Address): Socket {
    const { tls } = this.#security;
    if (tls === undefined) return connectTcp({ host, port, noDelay: true });
    const socket = connectTls({ host, port, ...tls(host) });
    socket.setNoDelay(true);
    return socket;
  }

  /**
   * A broker that joined the cluster since the drill began is given a proxy; the answer that named it is not
   * let through, so that the gateway asks again.
   */
  #proxyOf(broker: Address): Address {
    const name = nameOf(broker);
    const proxy = this.#proxies.get(name);
    if (proxy !== undefined) return { host: '127.0.0.1', port: proxy.port };
    if (!this.#isClosed && !this.#opening.has(name)) {
      const opening = this.#open(broker)
        .catch(() => undefined)
        .finally(() => this.#opening.delete(name));
      this.#opening.set(name, opening);
    }
    throw new Error(`broker ${name} has no proxy yet`);
  }
}

function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}
