import { pause, type Clock } from '../core/clock.ts';
import type { DeviceSessions, PresenceObserver } from '../core/device-sessions.ts';
import type { Logger } from '../core/logger.ts';
import type { Authenticator, Permissions } from '../core/principal.ts';
import type { PublicationMemory, PublicationSink, RecalledPublications } from '../core/publication.ts';
import { ConnectionHub } from './connection/connection-hub.ts';
import { DEFAULT_LIMITS, type IngressLimits } from './limits.ts';
import { Listener, type ListenerOptions } from './edge/listener.ts';
import { listenerName, type ListenerAddress, type ListenerSpec } from './edge/listener-spec.ts';
import { LocalBroker } from './broker/local-broker.ts';
import { SessionPost } from './sessions/session-post.ts';
import type { LogDirectory } from '../durable-log/log-directory.ts';
import { SysTopics } from './broker/sys-topics.ts';
import { IngressStats } from './stats.ts';

export interface IngressOptions {
  readonly listeners: readonly ListenerSpec[];
  /** What is left out is as in {@link DEFAULT_LIMITS}. */
  readonly limits?: Partial<IngressLimits>;
  /** What keeps sessions and retained messages over restarts; left out, they are in memory. */
  readonly sessions?: LogDirectory | undefined;
  /** The topics of `$SYS/broker`; left out, there are none. */
  readonly sys?: { readonly version: string; readonly intervalMs: number } | undefined;
  /** Who is let in, and what they may do; left out, everybody, and everything. */
  readonly authenticator?: Authenticator | undefined;
  readonly permissions?: Permissions | undefined;
  /** Is told which devices are here. */
  readonly presence?: PresenceObserver | undefined;
  readonly sink: PublicationSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long drained() and close() wait for clients that don't read their last bytes. */
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * The MQTT edge. Takes PUBLISH and PUBREL off the wire, hands publications to the sink, and acknowledges them
 * when the sink says so, in order of receipt. What is published locally goes through an embedded broker
 * ({@link LocalBroker}), to connections that have subscribed there.
 */
export class Ingress {
  readonly #options: IngressOptions;
  readonly #limits: IngressLimits;
  /** Plain numbers, always up to date. */
  readonly stats: Readonly<IngressStats>;
  readonly #stats = new IngressStats();
  readonly #listeners: Listener[] = [];
  #broker: LocalBroker | undefined;
  #hub: ConnectionHub | undefined;
  #post: SessionPost | undefined;
  #sysTopics: SysTopics | undefined;

  constructor(options: IngressOptions) {
    this.#options = options;
    this.stats = this.#stats;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  /**
   * Opens the listeners. Called once. `recalled`: what a journal knows of publications of kept sessions.
   * @throws {SluiceError} LISTENER_PORT_IN_USE and others of {@link Listener}; nothing is open then.
   */
  async start(recalled?: RecalledPublications): Promise<void> {
    const { clock, listeners } = this.#options;
    const parts = { ...this.#options, limits: this.#limits, stats: this.#stats };
    const broker = await LocalBroker.open({ ...parts, recalled });
    const hub = new ConnectionHub({ ...parts, broker });
    this.#broker = broker;
    this.#hub = hub;
    this.#post = new SessionPost(broker.store, hub.sessions, clock);
    try {
      for (const spec of listeners)
        this.#listeners.push(new Listener(spec, this.#listenerOptions(hub, spec)));
      for (const listener of this.#listeners) await listener.listen();
      this.#startSysTopics(broker);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #startSysTopics(broker: LocalBroker): void {
    const { sys, clock } = this.#options;
    if (sys === undefined) return;
    this.#sysTopics = new SysTopics({
      ...sys,
      stats: this.#stats,
      publish: (name, payload) => broker.deliver({ name }, Buffer.from(payload), 0, true),
      clock,
    });
    this.#sysTopics.start();
  }

  #listenerOptions(hub: ConnectionHub, spec: ListenerSpec): ListenerOptions {
    const { clock, logger } = this.#options;
    const { connectTimeoutMs, maxConnections } = this.#limits;
    return {
      accept: (transport, remote) => hub.accept(transport, remote, listenerName(spec)),
      handshakeFailed: (remote, reason, detail) => hub.handshakeFailed(remote, reason, detail),
      connectTimeoutMs,
      maxConnections,
      clock,
      logger,
    };
  }

  /** Where the listeners are, in the order in which they were given. */
  addresses(): ListenerAddress[] {
    return this.#listeners.map((listener) => listener.address());
  }

  /**
   * No new connections, and no further publications are taken: devices send them again, having no acknowledgement.
   * What was taken goes on, and is acknowledged; pings, subscriptions and DISCONNECT are answered as ever.
   */
  stopAccepting(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    if (this.#hub !== undefined) this.#hub.taking = false;
    return Promise.resolve();
  }

  /** Publishes to local subscribers, at most once: a command of the gateway itself. Before the start to nobody. */
  publish(topicName: string, payload: Uint8Array): void {
    this.#broker?.deliver({ name: topicName }, Buffer.from(payload), 0, false);
  }

  /** How the disk does that keeps the sessions; undefined: none does. */
  get storage(): LocalBroker['storage'] {
    return this.#broker?.storage;
  }

  /** Who remembers publications over a crash; undefined before the start. */
  get publicationMemory(): PublicationMemory | undefined {
    return this.#broker?.store;
  }

  /** Messages to one client's session; from the start on. */
  get deviceSessions(): DeviceSessions {
    if (this.#post === undefined) throw new TypeError('the ingress has not been started');
    return this.#post;
  }

  /** Publications that the sink had no room for are offered to it again: it may do otherwise with them now. */
  offerAgain(): void {
    this.#hub?.resumeLanes();
  }

  /** Everything received is with the sink and complete, and its acknowledgements are with the kernel. */
  async drained(): Promise<void> {
    const hub = this.#hub;
    if (hub === undefined) return;
    while (!hub.idle) await hub.nextTurn();
    await this.#until(() => [...hub.connections].every(({ transport }) => transport.writableLength === 0));
  }

  /** Closes every connection and the broker. Wills are kept back (MQTT 3.1.1 section 3.1.2.5). */
  async close(): Promise<void> {
    const hub = this.#hub;
    this.#hub = undefined;
    if (hub === undefined) return;
    this.#sysTopics?.stop();
    for (const listener of this.#listeners) listener.close();
    hub.taking = false;
    for (const connection of hub.connections) connection.stop('stopped');
    await this.#until(() => hub.connections.size === 0);
    for (const { transport } of hub.connections) transport.destroy();
    hub.stopClock();
    const done = new AbortController();
    await this.#broker?.close(pause(this.#options.clock, CLOSE_TIMEOUT_MS, done.signal));
    done.abort();
  }

  /** Looks every few milliseconds, and not longer than {@link CLOSE_TIMEOUT_MS}. */
  async #until(condition: () => boolean): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.monotonicMs() + CLOSE_TIMEOUT_MS;
    while (!condition() && clock.monotonicMs() < deadline) {
      await pause(clock, 5);
    }
  }
}
