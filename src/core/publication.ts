/**
 * An MQTT topic name, interned: the ingress makes one Topic for each distinct name and hands out the same
 * object again, so that later stages cache by identity instead of hashing a string a message.
 */
export interface Topic {
  /** The topic name: valid UTF-8, no wildcards, at least one character ([MQTT-4.7.3-1]). */
  readonly name: string;
  /**
   * A small dense integer, for an array as cache. The table of topics is bounded: an id may later belong to
   * another Topic, so a cache keeps the Topic beside its value and compares it.
   */
  readonly id: number;
}

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
  readonly publicationNumber?: number;
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

/**
 * What became of a publication: its one final state. Everything but `Refused` lets the device be
 * acknowledged (PUBACK, PUBREC); `Refused` closes its connection, the only "no" that MQTT 3.1.1 has
 * ([MQTT-3.3.5-2]).
 */
export const Outcome = {
  /** The route's contract is fulfilled: for `kafka`, its record's batch is acknowledged. */
  Delivered: 0,
  /** It could not be understood, and its dead letter is durable. */
  DeadLettered: 1,
  /** No route matches, and `unrouted: local` says that local subscribers were all it was for. */
  Local: 2,
  /** It may not be published: no route and `unrouted: refuse`, or a contract that can no longer be kept. */
  Refused: 3,
  /** Understood, and its profile's rules say that no record is due. */
  Filtered: 4,
  /** The journal is full, and its policy is to drop what comes. */
  Dropped: 5,
} as const;

export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** A QoS 2 publication whose record a journal has; see {@link Publication.publicationNumber}. */
export interface RecalledPublication {
  readonly clientId: string;
  readonly packetId: number;
  readonly publicationNumber: number;
}

/** What a journal hands over after a start. */
export interface RecalledPublications {
  /** Those that their sessions may not know of. */
  readonly publications: readonly RecalledPublication[];
  /** Higher than the number of every publication that it has, or ever had. */
  readonly nextPublicationNumber: number;
}

/** Who has to know of publications after a crash: the sessions. */
export interface PublicationMemory {
  /** The next publication's. */
  readonly nextPublicationNumber: number;
  /** Calls back once it will know after a crash of every publication whose contract was said to be fulfilled by now. */
  whenKept(callback: () => void): void;
}
