import type { Acknowledgements } from './acknowledgements.ts';
import { fingerprint } from './fingerprint.ts';
import { Outcome } from '../core/outcome.ts';
import type { Session } from './session.ts';

/** The lane of one connection, as repeats see it. */
export interface RepeatableLane {
  readonly session: Session;
  readonly acks: Acknowledgements;
  readonly repeats: Repeats;
  /** The lane of an earlier connection of the same client that still has something. */
  readonly predecessor: RepeatableLane | undefined;
  /** The first occurrence of a publication that was repeated here is complete; its acknowledgement is due. */
  repeatCompleted(qos: 1 | 2, sequence: number): void;
  repeatRefused(): void;
}

interface Place {
  readonly lane: RepeatableLane;
  readonly sequence: number;
}

/**
 * QoS 1 publications that a client sends again on a new connection while the first occurrence is still on its way
 * from the old one. They are not produced twice: the new connection owes a PUBACK, in its own order, that may
 * leave when the first occurrence is complete.
 *
 * A packet identifier alone does not tell a repeat from another publication, nor does DUP: it must be a session
 * that was resumed, and topic and payload the same.
 */
export class Repeats {
  readonly #lane: RepeatableLane;
  /** The session was there before the connection: only then a repeat may be one ([MQTT-4.4.0-1]). */
  readonly #resumed: boolean;
  /** By sequence of the lane's own PUBACKs: where the publication is owed another one. Rare. */
  #joined: Map<number, Place> | undefined;

  constructor(lane: RepeatableLane, resumed: boolean) {
    this.#lane = lane;
    this.#resumed = resumed;
  }

  /** Whether the PUBLISH buffer[start, end) is the same as one of an earlier connection that is still in flight. */
  isInFlight(packetId: number, buffer: Buffer, start: number, end: number): boolean {
    if (!this.#resumed || this.#lane.predecessor === undefined) return false;
    return this.first(packetId, fingerprint(buffer, start, end)) !== undefined;
  }

  /** Where the same publication is in flight, of an earlier connection of the session. */
  first(packetId: number, mark: number): Place | undefined {
    const { session } = this.#lane;
    for (let lane = this.#lane.predecessor; lane !== undefined; lane = lane.predecessor) {
      if (lane.session !== session) continue;
      const sequence = lane.acks.findQos1(packetId, mark);
      // Repeated here before: the client has used the packet identifier again, so this is another publication.
      if (sequence !== undefined && lane.repeats.#joined?.get(sequence)?.lane !== this.#lane) {
        return { lane, sequence };
      }
    }
    return undefined;
  }

  /** Owes a PUBACK for what is in flight already. Returns false if it isn't any more. */
  join(packetId: number, mark: number): boolean {
    const first = this.first(packetId, mark);
    if (first === undefined) return false;
    // An earlier repeat has lost its connection: the last one is the one that is acknowledged.
    const { repeats } = first.lane;
    repeats.#joined ??= new Map();
    repeats.#joined.set(first.sequence, { lane: this.#lane, sequence: this.#lane.acks.open(1, packetId) });
    return true;
  }

  /** A publication of this lane is complete. */
  completed(sequence: number, outcome: Outcome): void {
    const place = this.#joined?.get(sequence);
    if (place === undefined) return;
    this.#joined?.delete(sequence);
    if (outcome === Outcome.Refused) place.lane.repeatRefused();
    else place.lane.repeatCompleted(1, place.sequence);
  }
}
