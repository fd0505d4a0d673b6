/** A QoS 2 packet identifier between PUBLISH and PUBREL: where its publication stands. */
export const Qos2State = {
  /** With the sink, or parked on the way to it. */
  InFlight: 1,
  /** PUBREC may leave, or has left. */
  Completed: 2,
  /** Local subscribers have it, but it was discarded with a connection before the sink had it. */
  Discarded: 3,
} as const;
export type Qos2State = (typeof Qos2State)[keyof typeof Qos2State];

/** Remembers QoS 2 packet identifiers over restarts of the gateway, of sessions that it keeps. */
export interface PacketIdMemory {
  /** Numbers a publication of the client; 0 if nothing is kept of its session. */
  numberPublication(clientId: string): number;
  /** Returns false if nothing is kept of the session. Otherwise `kept` is called when it is on disk. */
  packetIdTaken(clientId: string, packetId: number, publicationNumber: number, kept: () => void): boolean;
  /** Returns false if nothing is known of it. */
  packetIdReleased(clientId: string, packetId: number, kept: () => void): boolean;
}

/** A connection that owes a PUBREC for a publication which an earlier packet has brought. */
export interface RepeatOwner {
  /** The first occurrence of a publication that was repeated here is complete; its acknowledgement is due. */
  repeatCompleted(qos: 1 | 2, sequence: number): void;
  repeatRefused(): void;
}

/**
 * What the ingress remembers of a client for its publications (MQTT 3.1.1 section 3.1.2.4): the packet ids of
 * QoS 2 publications until PUBREL, so that a repeated one is not produced twice. Subscriptions and queued
 * messages of the same session are with the {@link SessionStore}.
 */
export class PublisherSession {
  readonly clientId: string;
  readonly clean: boolean;
  /** Since when the client of a kept session is away; monotonic, ms. */
  absentSinceMs = 0;
  readonly #memory: PacketIdMemory | undefined;
  readonly #qos2 = new Map<number, Qos2State>();
  /** By packet identifier: the numbers of publications that are with the sink. */
  #numbers: Map<number, number> | undefined;
  /** Repeats that wait for their first occurrence; rare, so only then there is a map. */
  #repeats: Map<number, { readonly owner: RepeatOwner; readonly sequence: number }[]> | undefined;

  /** `memory`: what outlives the process; undefined: nothing does. */
  constructor(clientId: string, clean: boolean, memory?: PacketIdMemory) {
    this.clientId = clientId;
    this.clean = clean;
    this.#memory = memory;
  }

  get qos2Count(): number {
    return this.#qos2.size;
  }

  qos2State(packetId: number): Qos2State | undefined {
    return this.#qos2.get(packetId);
  }

  qos2Received(packetId: number): void {
    this.#qos2.set(packetId, Qos2State.InFlight);
  }

  /** Had its PUBREC in an earlier life of the gateway. */
  qos2Restored(packetId: number): void {
    this.#qos2.set(packetId, Qos2State.Completed);
  }

  /** It is being offered to the sink, under the number that is returned: see {@link Publication.publicationNumber}. */
  qos2Offered(packetId: number): number {
    const publicationNumber = this.#memory?.numberPublication(this.clientId) ?? 0;
    if (publicationNumber > 0) (this.#numbers ??= new Map()).set(packetId, publicationNumber);
    return publicationNumber;
  }

  /** `owner` owes a PUBREC for a repeat of a publication that is still in flight. */
  qos2Repeated(packetId: number, owner: RepeatOwner, sequence: number): void {
    this.#repeats ??= new Map();
    const waiting = this.#repeats.get(packetId);
    if (waiting === undefined) this.#repeats.set(packetId, [{ owner, sequence }]);
    else waiting.push({ owner, sequence });
  }

  /** The publication's contract is fulfilled: its PUBREC, and those of its repeats, may leave. */
  qos2Completed(packetId: number): void {
    if (this.#qos2.has(packetId)) this.#qos2.set(packetId, Qos2State.Completed);
    for (const { owner, sequence } of this.#takeRepeats(packetId)) owner.repeatCompleted(2, sequence);
  }

  /** It was not and will not be handed to the sink: a repeat counts as new. */
  qos2Forgotten(packetId: number): void {
    this.#qos2.delete(packetId);
    for (const { owner } of this.#takeRepeats(packetId)) owner.repeatRefused();
  }

  /** Local subscribers have had it; the sink has not and takes the repeat as new. */
  qos2Discarded(packetId: number): void {
    this.#qos2.set(packetId, Qos2State.Discarded);
  }

  /**
   * The publication's contract is fulfilled. Returns true if its completion has to wait until the packet identifier
   * will be known after a restart too: `kept` is called then.
   */
  qos2Keep(packetId: number, kept: () => void): boolean {
    const publicationNumber = this.#numbers?.get(packetId);
    if (publicationNumber === undefined) return false;
    this.#numbers?.delete(packetId);
    return this.#memory?.packetIdTaken(this.clientId, packetId, publicationNumber, kept) === true;
  }

  /**
   * PUBREL: the packet identifier is free again ([MQTT-4.3.3-2]). PUBCOMP is due when `kept` is called: once no
   * restart will take another publication under it for a repeat.
   */
  qos2Released(packetId: number, kept: () => void): void {
    this.#qos2.delete(packetId);
    if (this.#memory?.packetIdReleased(this.clientId, packetId, kept) !== true) kept();
  }

  #takeRepeats(packetId: number): readonly { owner: RepeatOwner; sequence: number }[] {
    const waiting = this.#repeats?.get(packetId);
    if (waiting === undefined) return [];
    this.#repeats?.delete(packetId);
    return waiting;
  }
}
