import mqtt from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { errorMessage } from '../../core/errors.ts';
import type { QoS } from '../../core/publication.ts';
import type { DeviceMessage } from './device.ts';

/** What a link tells the fleet about its connection. */
export interface LinkListener {
  /** Connected, and everything of an earlier connection has been sent again: publish now. */
  up(): void;
  /** The connection is gone; the link is trying again. */
  down(): void;
  /** The broker said a lasting no (CONNACK return code 1, 2, 4 or 5): the link has given up. */
  refused(reason: string): void;
  /** Why there is no connection right now, for a person. */
  trouble(message: string): void;
  /** A message on {@link LinkOptions.commands}. */
  command?(payload: Uint8Array): void;
}

export interface LinkOptions {
  readonly url: string;
  readonly clientId: string;
  readonly qos: QoS;
  /** From the loss of a connection, and from every failed attempt, to the next attempt. */
  readonly reconnectMs: number;
  /** 60 */
  readonly keepaliveSeconds?: number | undefined;
  /** The topic of the device's commands, subscribed to before `up`. */
  readonly commands?: string;
  /** The will of the connection that is about to be made; asked once before each. */
  readonly will?: () => DeviceMessage;
}

/** A device's connection to the broker, which lasts over reconnects. */
export interface DeviceLink {
  /**
   * Publishes one message; legal only between `up` and `down`. `settled` is called once: without an error
   * when a QoS 1 message had its PUBACK, a QoS 2 message its PUBCOMP, a QoS 0 message was written. QoS > 0
   * survives lost connections: it is sent again after the next CONNACK.
   */
  publish(topic: string, payload: Uint8Array, settled: (error: Error | undefined) => void): void;
  /** Sends DISCONNECT and closes; within `timeoutMs`, or by force when the broker doesn't play along. */
  end(timeoutMs: number): Promise<void>;
}

/** The listener is not called before this returns. */
export type OpenLink = (options: LinkOptions, listener: LinkListener) => DeviceLink;

type Settled = (error: Error | undefined) => void;

const CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_KEEPALIVE_SECONDS = 60;
/** CONNACK return codes that the same CONNECT would get again (MQTT 3.1.1 table 3.1); 3 may pass. */
const LASTING_RETURN_CODES: ReadonlySet<unknown> = new Set([1, 2, 4, 5]);

/** A connection of the `mqtt` package, the client that most of the gateway's users would take. */
export const openMqttLink: OpenLink = (options, listener) => new MqttLink(options, listener);

class MqttLink implements DeviceLink {
  readonly #client: MqttClient;
  readonly #listener: LinkListener;
  readonly #qos: LinkOptions['qos'];
  readonly #will: LinkOptions['will'];
  /** QoS 0 messages whose write waits for the socket to drain; the package forgets them with the socket. */
  readonly #unwritten = new Set<Settled>();
  #isUp = false;

  constructor(options: LinkOptions, listener: LinkListener) {
    const { url, clientId, qos, reconnectMs, commands, will } = options;
    const { keepaliveSeconds = DEFAULT_KEEPALIVE_SECONDS } = options;
    this.#listener = listener;
    this.#qos = qos;
    this.#will = will;
    this.#client = mqtt.connect(url, {
      clientId,
      // Only QoS 2 needs a session: PUBREL of an earlier connection must find its PUBLISH.
      clean: qos < 2,
      keepalive: keepaliveSeconds,
      reconnectPeriod: reconnectMs,
      reconnectOnConnackError: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      resubscribe: false,
      ...(will !== undefined && { will: willOf(will) }),
    });
    // 'connect' comes after the stored messages were sent again and acknowledged. `client.connected` is true
    // before that, but what is published then would be failed, not stored, if the connection broke.
    this.#client.on('connect', () => {
      this.#isUp = true;
      if (commands !== undefined) this.#client.subscribe(commands);
      listener.up();
    });
    this.#client.on('message', (_, payload) => listener.command?.(payload));
    this.#client.on('close', () => this.#closed());
    this.#client.on('error', (error) => this.#failed(error));
  }

  publish(topic: string, payload: Uint8Array, settled: Settled): void {
    const message = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    if (this.#qos > 0) {
      this.#client.publish(topic, message, { qos: this.#qos }, (error) => settled(error ?? undefined));
      return;
    }
    this.#unwritten.add(settled);
    this.#client.publish(topic, message, { qos: 0 }, (error) => {
      if (this.#unwritten.delete(settled)) settled(error ?? undefined);
    });
  }

  async end(timeoutMs: number): Promise<void> {
    const force = !this.#isUp;
    const ended = this.#client.endAsync(force);
    if (force) return ended;
    const deadline = setTimeout(() => {
      this.#client.stream.destroy();
    }, timeoutMs);
    try {
      // Without the broker's help (it never closes its side, or acknowledgements are still missing)
      // the first promise would not resolve; the socket's end does.
      await Promise.race([
        ended,
        new Promise<void>((resolve) => {
          this.#client.once('close', resolve);
        }),
      ]);
    } finally {
      clearTimeout(deadline);
    }
  }

  #closed(): void {
    if (this.#isUp) {
      this.#isUp = false;
      this.#listener.down();
      // The package takes it from here for its next CONNECT.
      if (this.#will !== undefined) this.#client.options.will = willOf(this.#will);
    }
    const unwritten = [...this.#unwritten];
    this.#unwritten.clear();
    for (const settled of unwritten) settled(new Error('the connection closed before this was written'));
  }

  #failed(error: Error): void {
    const code: unknown = 'code' in error ? error.code : undefined;
    if (LASTING_RETURN_CODES.has(code)) {
      this.#client.end(true);
      this.#listener.refused(errorMessage(error));
    } else {
      this.#listener.trouble(errorMessage(error));
    }
  }
}

function willOf(will: () => DeviceMessage): NonNullable<IClientOptions['will']> {
  const { topic, payload } = will();
  return { topic, payload: Buffer.from(payload), qos: 1, retain: false };
}
