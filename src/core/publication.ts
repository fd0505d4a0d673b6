import type { Outcome } from './outcome.ts';
import type { Topic } from './topic.ts';

export type QoS = 0 | 1 | 2;

/**
 * An MQTT PUBLISH as it came from a device (MQTT 3.1.1 section 3.3). The ingress mutates one instance for
 * every message: it may be read only during the call that hands it over, and `payload` is a view on the
 * socket's buffer that must be copied to be kept.
 */
export interface Publication {
  readonly topic: Topic;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  /** The DUP flag: the device says it may have sent this before ([MQTT-3.3.1-1]). */
  readonly dup: boolean;
  /** 1 to 65535; 0 with QoS 0, which has none. */
  readonly packetId: number;
  /**
   * Numbers the QoS 2 publications of sessions that outlive the process, upwards over all its lives; 0 and left out:
   * it is none of these. Kept with the record in a journal, it says after a crash whether the session knows of it.
   */
  readonly ordinal?: number;
  readonly clientId: string;
  /** Wall clock at receipt, milliseconds since 1970-01-01 UTC. */
  readonly receivedAtMs: number;
  /** MQTT 5 properties; absent for MQTT 3.1 and 3.1.1. */
  readonly properties?: ReadonlyMap<number, unknown>;
}

/** The connection that a publication came from, as the later stages see it. */
export interface PublicationOrigin {
  /**
   * What became of the publication handed over with `token`. Called exactly once for each accepted
   * publication, in any order, possibly before `accept` returns.
   */
  complete(token: number, outcome: Outcome): void;
  /** There may be room again for the publication that was last refused with `false`. */
  resume(): void;
  /** It has nothing to offer any more, and need not be resumed. Left out: it always may have. */
  isGone?(): boolean;
}

/** The stage that takes publications from the ingress. */
export interface PublicationSink {
  /**
   * Takes one publication. `true`: taken, and `origin.complete(token, ...)` follows. `false`: no room at its
   * destination; nothing of it was kept, the origin parks it, `origin.resume()` follows when it should try
   * again. The next publication that this origin then offers is the same one, because some of the records that
   * it becomes may be on their way already.
   * A publication that can't be processed is still taken: it completes as a dead letter or as refused.
   */
  accept(publication: Publication, origin: PublicationOrigin, token: number): boolean;
  /**
   * A publication to the topic came again, and is not handed over again: its device is told what became of the first.
   * Left out: nobody counts them.
   */
  suppressed?(topic: Topic): void;
}
