/**
 * An MQTT topic name, interned. The ingress makes one Topic for each distinct name and hands out the same object
 * again. So later stages cache by identity, and hash no string for a message.
 */
export interface Topic {
  /** The topic name: valid UTF-8, no wildcards, at least one character ([MQTT-4.7.3-1]). */
  readonly name: string;
  /**
   * A small dense integer, the index of a cache that is an array. The table of topics is bounded, so an id may
   * later belong to another Topic. A cache therefore keeps the Topic beside its value and compares it.
   */
  readonly id: number;
}

export type QoS = 0 | 1 | 2;

/**
 * An MQTT PUBLISH as it came from a device (MQTT 3.1.1 section 3.3). The ingress mutates one instance for every
 * message: read it only during the call that hands it over. `payload` is a view on the socket's buffer: copy it to
 * keep it.
 */
export interface Publication {
  readonly topic: Topic;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  /** The DUP flag: the device says it may have sent this before ([MQTT-3.3.1-1]). */
  readonly dup: boolean;
  /** 1 to 65535; 0 with QoS 0, which has no packet identifier. */
  readonly packetId: number;
  /**
   * Numbers the QoS 2 publications of sessions that outlive the process, upwards over all lives of the process. 0
   * or left out: the publication is not one of these. A journal keeps the number with the record. After a crash it
   * shows whether the session knows of the publication.
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
   * Tells the final state of the publication that was handed over with `token`. Called exactly once for each
   * accepted publication, in any order, possibly before `accept` returns.
   */
  complete(token: number, outcome: Outcome): void;
  /** There may be room again for the publication that was last refused with `false`. */
  resume(): void;
  /** It has nothing to offer any more, and need not be resumed. Left out: it may always have something. */
  isGone?(): boolean;
}

/** The stage that takes publications from the ingress. */
export interface PublicationSink {
  /**
   * Takes one publication.
   *
   * `true`: taken, and `origin.complete(token, ...)` follows. A publication that can't be processed is taken too:
   * it completes as a dead letter or as refused.
   *
   * `false`: no room at its destination, and nothing of it was kept. The origin parks it, and `origin.resume()`
   * follows when another try is worthwhile. The origin must offer the same publication next, because some of its
   * records may be on their way already.
   */
  accept(publication: Publication, origin: PublicationOrigin, token: number): boolean;
  /**
   * A publication to the topic came again. It is not handed over again: its device is told the outcome of the
   * first. Left out: such repeats are not counted.
   */
  suppressed?(topic: Topic): void;
}

/**
 * The one final state of a publication. Every outcome but `Refused` lets the device be acknowledged (PUBACK,
 * PUBREC). `Refused` closes its connection, the only "no" that MQTT 3.1.1 has ([MQTT-3.3.5-2]).
 */
export const Outcome = {
  /** The route's contract is fulfilled: for `kafka`, its record's batch is acknowledged. */
  Delivered: 0,
  /** It could not be understood, and its dead letter is durable. */
  DeadLettered: 1,
  /** No route matches, and `unrouted: local` says that it was for local subscribers alone. */
  Local: 2,
  /** It may not be published: no route and `unrouted: refuse`, or a contract that can no longer be kept. */
  Refused: 3,
  /** Understood, and its profile's rules say that no record is due. */
  Filtered: 4,
  /** The journal is full, and its policy is to drop new records. */
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
  /** Publications that their sessions may not know of. */
  readonly publications: readonly RecalledPublication[];
  /** Higher than the number of every publication that the journal has, or ever had. */
  readonly nextPublicationNumber: number;
}

/** Remembers publications for the time after a crash: the sessions. */
export interface PublicationMemory {
  /** The number of the next publication. */
  readonly nextPublicationNumber: number;
  /**
   * Calls back when everything up to now is remembered safely: after a crash it will know of every publication
   * whose contract was fulfilled before this call.
   */
  whenKept(callback: () => void): void;
}
