import type { Cancel, Clock } from '../../core/clock.ts';
import type { IngressStats } from '../stats.ts';

export interface SysTopicsOptions {
  readonly stats: Readonly<IngressStats>;
  /** What it says of itself in `$SYS/broker/version`. */
  readonly version: string;
  readonly intervalMs: number;
  readonly publish: (topic: string, payload: string) => void;
  readonly clock: Clock;
}

/**
 * The figures of the broker as retained messages under `$SYS/broker/`, with mosquitto's names where they mean the
 * same. A topic is written when its value has changed. Wildcards at the beginning don't match them ([MQTT-4.7.2-1]).
 */
export class SysTopics {
  readonly #options: SysTopicsOptions;
  readonly #startMs: number;
  readonly #last = new Map<string, string>();
  #maximumClients = 0;
  #cancel: Cancel | undefined;

  constructor(options: SysTopicsOptions) {
    this.#options = options;
    this.#startMs = options.clock.monotonicMs();
  }

  start(): void {
    this.#publish();
    this.#cancel = this.#options.clock.schedule(() => this.start(), this.#options.intervalMs);
  }

  stop(): void {
    this.#cancel?.();
  }

  #publish(): void {
    for (const [name, value] of Object.entries(this.#values())) {
      const payload = String(value);
      if (this.#last.get(name) === payload) continue;
      this.#last.set(name, payload);
      this.#options.publish(`$SYS/broker/${name}`, payload);
    }
  }

  #values(): Record<string, string | number> {
    const { stats, version, clock } = this.#options;
    const { sessions, absentSessions } = stats;
    const connected = sessions - absentSessions;
    this.#maximumClients = Math.max(this.#maximumClients, connected);
    const [qos0, qos1, qos2] = stats.received;
    return {
      version: `sluice version ${version}`,
      uptime: `${Math.floor((clock.monotonicMs() - this.#startMs) / 1_000)} seconds`,
      'clients/connected': connected,
      'clients/disconnected': absentSessions,
      'clients/total': sessions,
      'clients/maximum': this.#maximumClients,
      'clients/expired': stats.sessionsExpired,
      'messages/received': qos0 + qos1 + qos2 + stats.controlPackets,
      'publish/messages/received': qos0 + qos1 + qos2,
      'publish/messages/dropped': stats.subscriberDrops + stats.queueDrops + stats.queueExpired,
      'retained messages/count': stats.retainedMessages,
      'store/messages/count': stats.queuedMessages,
      'store/messages/bytes': stats.queuedBytes,
    };
  }
}
