import type { Clock } from '../../core/clock.ts';
import type { IngressBasics, IngressLimits } from '../limits.ts';
import { PublisherSession, type PacketIdMemory } from './publisher-session.ts';
import type { IngressStats } from '../stats.ts';

/** A connection, as the sessions see it. */
export interface SessionHolder {
  /** The session is this connection's now. `present`: it was kept from before ([MQTT-3.2.2-2]). */
  granted(session: PublisherSession, present: boolean): void;
  /** The client id has connected again: let go, and call {@link SessionRegistry.release}. Called at most once. */
  takeOver(): void;
}

/** Who keeps what belongs to a session beside its publications. */
export interface SessionKeeper extends PacketIdMemory {
  /** The client of a persistent session is here. */
  opened(clientId: string): void;
  /** It has gone, and the session is kept. */
  absent(clientId: string): void;
  /** The session has ended, by its client's wish, for its age or for room. */
  discarded(clientId: string): void;
}

/** A session that an earlier life of the gateway has left. */
export interface RestoredSession {
  readonly clientId: string;
  /** How long its client has been away, as far as one can tell. */
  readonly absentForMs: number;
  /** QoS 2 packet identifiers between PUBREC and PUBREL. */
  readonly takenIds: Iterable<number>;
}

type RegistryOptions = Pick<IngressBasics, 'stats'> & {
  readonly limits: Pick<IngressLimits, 'maxKeptSessions'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
};

interface Claim {
  readonly holder: SessionHolder;
  readonly clean: boolean;
  session: PublisherSession | undefined;
}

/**
 * Who is connected under which client id. The one place that decides takeovers, with callbacks, so that the
 * previous connection may just as well be another process's.
 */
export class SessionRegistry {
  readonly #maxKept: number;
  readonly #stats: IngressStats;
  /** Monotonic: a clock that is set must not end every session at once. */
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #keeper: SessionKeeper;
  /** The first claim of each client id holds the session; the others wait, the last one will have it. */
  readonly #claims = new Map<string, Claim[]>();
  /** Sessions of absent clients, the longest absent first. */
  readonly #kept = new Map<string, PublisherSession>();

  constructor({ limits, stats, clock }: RegistryOptions, keeper: SessionKeeper) {
    this.#maxKept = limits.maxKeptSessions;
    this.#stats = stats;
    this.#clock = clock;
    this.#keeper = keeper;
  }

  #count(): void {
    this.#stats.sessions = this.#claims.size + this.#kept.size;
    this.#stats.absentSessions = this.#kept.size;
  }

  /** Takes over what an earlier life of the gateway has left. */
  restore(kept: readonly RestoredSession[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const { clientId, absentForMs, takenIds } of kept.toSorted(
      (a, b) => b.absentForMs - a.absentForMs,
    )) {
      const session = new PublisherSession(clientId, false, this.#keeper);
      session.absentSinceMs = nowMs - absentForMs;
      for (const packetId of takenIds) session.qos2Restored(packetId);
      this.#kept.set(clientId, session);
    }
    this.#bound();
    this.#count();
  }

  /** Ends the sessions whose clients have been away for longer. */
  expire(afterMs: number): void {
    const beforeMs = this.#clock.monotonicMs() - afterMs;
    for (const [clientId, { absentSinceMs }] of this.#kept) {
      if (absentSinceMs >= beforeMs) break;
      this.#kept.delete(clientId);
      this.#stats.sessionsExpired++;
      this.#keeper.discarded(clientId);
    }
    this.#count();
  }

  /** Asks for a session. `holder.granted` follows, at once or when whoever has it has released it. */
  claim(clientId: string, clean: boolean, holder: SessionHolder): void {
    const claim: Claim = { holder, clean, session: undefined };
    const claims = this.#claims.get(clientId);
    if (claims === undefined) {
      this.#claims.set(clientId, [claim]);
      this.#grant(clientId, claim);
      return;
    }
    const previous = claims.at(-1) as Claim;
    claims.push(claim);
    previous.holder.takeOver();
  }

  /** Whether there is a session of this client, the client present or absent. */
  exists(clientId: string): boolean {
    return this.#kept.has(clientId) || this.#claims.has(clientId);
  }

  /** Gives a session back, or withdraws a claim. */
  release(clientId: string, holder: SessionHolder): void {
    const claims = this.#claims.get(clientId);
    const index = claims?.findIndex((claim) => claim.holder === holder) ?? -1;
    if (claims === undefined || index < 0) return;
    const [released] = claims.splice(index, 1);
    if (index > 0) return;
    const { session } = released as Claim;
    if (session?.clean === false) this.#keep(session);
    else this.#keeper.discarded(clientId);

    const [next] = claims;
    if (next === undefined) this.#claims.delete(clientId);
    else this.#grant(clientId, next);
    this.#count();
  }

  #grant(clientId: string, claim: Claim): void {
    const kept = this.#kept.get(clientId);
    this.#kept.delete(clientId);
    // [MQTT-3.1.2-6]: a clean session discards the previous one.
    if (kept !== undefined && claim.clean) this.#keeper.discarded(clientId);
    const present = kept !== undefined && !claim.clean;
    const session = present ? kept : new PublisherSession(clientId, claim.clean, this.#keeper);
    claim.session = session;
    if (!claim.clean) this.#keeper.opened(clientId);
    this.#count();
    claim.holder.granted(session, present);
  }

  #keep(session: PublisherSession): void {
    session.absentSinceMs = this.#clock.monotonicMs();
    this.#kept.set(session.clientId, session);
    this.#keeper.absent(session.clientId);
    this.#bound();
  }

  #bound(): void {
    for (const longestAbsent of this.#kept.keys()) {
      if (this.#kept.size <= this.#maxKept) return;
      this.#kept.delete(longestAbsent);
      this.#keeper.discarded(longestAbsent);
    }
  }
}
