import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Permissions } from '../../core/principal.ts';
import {
  Outcome,
  type Publication,
  type PublicationOrigin,
  type PublicationSink,
  type QoS,
} from '../../core/publication.ts';
import type { ReadAhead } from '../connection/read-ahead.ts';
import type { Transport } from '../edge/transport.ts';
import type { IngressLimits } from '../limits.ts';
import { DUP_FLAG, QOS_FLAGS, ReasonCode, type Codec } from '../protocol/codec.ts';
import type { Will } from '../protocol/connect.ts';
import { Qos2State, type PublisherSession } from '../sessions/publisher-session.ts';
import type { IngressStats } from '../stats.ts';
import { LatestTopic, NO_TOPIC_NAME, type InternedTopic, type TopicTable } from '../topics/topic-table.ts';
import { Acknowledgements, type AckWriter } from './acknowledgements.ts';
import { ParkedFrames, ParkedKind, type PublishFrame } from './parked-frames.ts';
import { Repeats, fingerprint, type RepeatableLane } from './repeats.ts';

/** QoS 0 waits for no answer, and a device that sends nothing else should not crawl along a window of 64. */
const QOS0_QUOTA_FACTOR = 16;
/** QoS 2 packet ids between PUBREC and PUBREL; a client has that many in flight only by mistake. */
const MAX_OPEN_QOS2 = 4_096;
const TOKEN_QOS_BITS = 2;
/** Where other tokens have their QoS. */
const WILL_TOKEN = 3;

type ParkableWill = Pick<Will, 'header' | 'frame'>;

/**
 * The way of one connection's publications: receipt, the in-flight window, parking, completion,
 * acknowledgement in order of receipt. It outlives its connection until everything received is with the sink
 * and complete.
 */
export class PublicationLane implements PublicationOrigin, RepeatableLane {
  readonly session: PublisherSession;
  readonly #context: LaneContext;
  #owner: LaneOwner | undefined;
  /** What the device is owed. */
  readonly acks: Acknowledgements;
  readonly repeats: Repeats;
  readonly #parked: ParkedFrames;
  #inFlight = 0;
  #inFlightQos0 = 0;
  /** The sink has no room; it calls resume(). */
  #sinkFull = false;
  readonly #topics: LatestTopic;
  /** Lanes of earlier connections of the same client, whose parked publications come first. */
  #predecessor: PublicationLane | undefined;
  #successor: PublicationLane | undefined;
  #finished = false;
  /** The connection has ended with DISCONNECT. */
  disconnected = false;
  /** Set by the context: already in its list for the next turn. */
  scheduled = false;

  /** `resumed`: the session was there before the connection. */
  constructor(
    context: LaneContext,
    session: PublisherSession,
    owner: LaneOwner,
    codec: Codec,
    resumed: boolean,
  ) {
    this.#context = context;
    this.session = session;
    this.acks = new Acknowledgements(codec);
    this.repeats = new Repeats(this, resumed);
    this.#topics = new LatestTopic(context.topics);
    this.#owner = owner;
    this.#parked = new ParkedFrames(context.memory);
  }

  /** Bytes parked here and at the predecessors that this lane waits for. */
  get parkedBytes(): number {
    return this.#parked.bytes + (this.#predecessor?.parkedBytes ?? 0);
  }

  get predecessor(): PublicationLane | undefined {
    return this.#predecessor;
  }

  get idle(): boolean {
    return this.#inFlight + this.#inFlightQos0 + this.#parked.count === 0;
  }

  isGone(): boolean {
    return this.#owner === undefined && this.#parked.count === 0;
  }

  // Receipt.

  /**
   * One PUBLISH (MQTT 3.1.1 section 3.3): `header` is its first byte, buffer[start, end) what follows the fixed
   * header. Returns what is wrong with it, if anything is.
   */
  publish(header: number, buffer: Buffer, start: number, end: number): string | undefined {
    const context = this.#context;
    const { frame } = context;
    const fault = frame.read(header, buffer, start, end, context.receivedAtMs);
    if (fault !== undefined) return fault;
    const { qos } = frame;
    const topic = this.#topics.intern(buffer, start + 2, frame.topicEnd);
    if (topic === undefined) return `PUBLISH with ${NO_TOPIC_NAME} ([MQTT-3.3.2-1], [MQTT-3.3.2-2])`;
    context.stats.received[qos]++;
    if (context.permissions.epoch !== 0 && !this.#mayPublish(topic)) {
      this.#owner?.refused();
      return undefined;
    }

    let kind: ParkedKind = ParkedKind.Publish;
    let known: Qos2State | undefined;
    if (qos === 2) {
      known = this.session.qos2State(frame.packetId);
      if (known === undefined && this.session.qos2Count >= MAX_OPEN_QOS2) {
        return `more than ${MAX_OPEN_QOS2} QoS 2 publications without PUBREL`;
      }
      if (known === Qos2State.InFlight || known === Qos2State.Completed) {
        context.stats.repeated++;
        kind = ParkedKind.Repeat;
      } else {
        this.session.qos2Received(frame.packetId);
      }
    }
    if (
      qos === 1 &&
      (header & DUP_FLAG) !== 0 &&
      this.repeats.isInFlight(frame.packetId, buffer, start, end)
    ) {
      context.stats.repeated++;
      kind = ParkedKind.Join;
    } else if (known === undefined && !this.#deliverLocally(topic, frame)) {
      kind = ParkedKind.Acknowledge;
    }
    // A repeat needs no room of its own, and what it waits for would be over sooner than there is room.
    const mustWait = this.#parked.count > 0 || (kind !== ParkedKind.Join && !this.#mayOffer(qos));
    if (mustWait || !this.#pass(kind, topic, frame)) {
      this.#park(kind, frame);
    }
    return undefined;
  }

  #mayPublish(topic: InternedTopic): boolean {
    return this.#topics.permits(
      topic,
      this.#context.permissions.epoch,
      (name) => this.#owner?.mayPublish(name) === true,
    );
  }

  /**
   * What happens to a publication at its receipt, whenever the sink gets it: local subscribers have it. Returns
   * whether the sink gets it.
   */
  #deliverLocally(topic: InternedTopic, { header, qos, buffer, payloadStart, end }: PublishFrame): boolean {
    const { broker, stats } = this.#context;
    if (topic.reserved) {
      // No client may write `$` topics (section 4.7.2), and MQTT 3.1.1 leaves only two ways to say so: to
      // acknowledge and drop, or to close the connection ([MQTT-3.3.5-2]). We acknowledge, like mosquitto and
      // EMQX: no route can match such a topic, so no contract is broken, and a closed connection would take the
      // device's telemetry with it, again and again, as it repeats the message.
      stats.reservedTopicDrops++;
      this.#context.reservedTopic(this.session.clientId, topic.name);
      return false;
    }
    const retain = (header & 1) !== 0;
    if (retain || broker.hasSubscribers(topic)) {
      broker.deliver(topic, buffer.subarray(payloadStart, end), qos, retain);
    }
    // An empty retained message deletes the retained one ([MQTT-3.3.1-10]); it is no telemetry.
    return !(retain && payloadStart === end);
  }

  /** A PUBREL ([MQTT-4.3.3-2]); answered whether or not its packet identifier is known. */
  release(packetId: number): string | undefined {
    if (this.session.qos2State(packetId) === Qos2State.InFlight) {
      return 'PUBREL for a publication that has had no PUBREC ([MQTT-4.3.3-1])';
    }
    this.session.qos2Released(packetId, () => {
      this.acks.release(packetId);
      this.#context.schedule(this);
    });
    return undefined;
  }

  // Towards the sink.

  #mayOffer(qos: number): boolean {
    const quota = this.#context.limits.inflightQuota;
    return (
      !this.#sinkFull &&
      (qos === 0 ? this.#inFlightQos0 < QOS0_QUOTA_FACTOR * quota : this.#unanswered < quota) &&
      (this.#predecessor === undefined || this.#predecessor.parkedBytes === 0)
    );
  }

  /**
   * Publications that the window counts: those without acknowledgement, because one that waits for its turn
   * behind a slower one is memory too. Without a connection nobody waits for acknowledgements.
   */
  get #unanswered(): number {
    return this.#owner === undefined ? this.#inFlight : this.acks.owed;
  }

  /** Passes on one PUBLISH. Returns whether there was room for it. */
  #pass(kind: ParkedKind, topic: InternedTopic, frame: PublishFrame): boolean {
    const qos = kind === ParkedKind.Will ? WILL_TOKEN : frame.qos;
    const { packetId } = frame;
    if (kind === ParkedKind.Acknowledge || kind === ParkedKind.Repeat) {
      if (kind === ParkedKind.Repeat) this.#context.sink.suppressed?.(topic);
      this.#acknowledge(kind, qos, packetId);
      return true;
    }
    const { buffer, start, end } = frame;
    if (kind === ParkedKind.Join && this.repeats.join(packetId, fingerprint(buffer, start, end))) {
      this.#context.sink.suppressed?.(topic);
      return true;
    }
    return this.#offer(topic, frame, qos);
  }

  /** Offers the publication to the sink. `qos`: as tokens have it. */
  #offer(topic: InternedTopic, frame: PublishFrame, qos: number): boolean {
    const { publication, sink, stats } = this.#context;
    const { header, packetId, buffer, start, end } = frame;
    const owed = qos === 1 || qos === 2;
    publication.topic = topic;
    publication.payload = buffer.subarray(frame.payloadStart, end);
    publication.qos = ((header & QOS_FLAGS) >> 1) as QoS;
    publication.retain = (header & 1) !== 0;
    publication.dup = (header & DUP_FLAG) !== 0;
    publication.packetId = packetId;
    publication.publicationNumber = qos === 2 && !this.session.clean ? this.session.qos2Offered(packetId) : 0;
    publication.clientId = this.session.clientId;
    publication.receivedAtMs = frame.receivedAtMs;
    // Only a session that is kept can be resumed, and its publications joined to.
    const mark = qos === 1 && !this.session.clean ? fingerprint(buffer, start, end) : undefined;
    let sequence = 0;
    if (!owed) this.#inFlightQos0++;
    else {
      this.#inFlight++;
      sequence = this.acks.of(qos).open(packetId, mark);
    }
    stats.inFlight++;
    const token = (sequence << TOKEN_QOS_BITS) | qos;
    this.#context.accepting = true;
    try {
      if (sink.accept(publication, this, token)) return true;
    } catch (error) {
      this.#context.logger.error(
        { client: this.session.clientId, topic: topic.name, reason: errorMessage(error) },
        'a publication could not be processed; its device is not acknowledged',
      );
      this.complete(token, Outcome.Refused);
      return true;
    } finally {
      this.#context.accepting = false;
    }
    if (!owed) this.#inFlightQos0--;
    else {
      this.#inFlight--;
      this.acks.of(qos).withdraw();
    }
    stats.inFlight--;
    this.#sinkFull = true;
    return false;
  }

  /** Takes its place among the acknowledgements without the sink. */
  #acknowledge(kind: ParkedKind, qos: number, packetId: number): void {
    if (qos === 0) {
      this.#context.stats.acknowledged[0]++;
      return;
    }
    const sequence = this.acks.of(qos).open(packetId);
    if (kind === ParkedKind.Repeat && this.session.qos2State(packetId) === Qos2State.InFlight) {
      this.session.qos2Repeated(packetId, this, sequence);
      return;
    }
    if (kind === ParkedKind.Acknowledge && qos === 2) this.session.qos2Completed(packetId);
    this.#settle(qos, sequence);
  }

  #settle(qos: number, sequence: number): void {
    this.acks.of(qos).settle(sequence, ReasonCode.Success);
    this.#context.schedule(this);
  }

  #park(kind: ParkedKind, frame: PublishFrame): void {
    this.#parked.push(kind, frame);
    this.#context.stats.parkedMessages++;
  }

  /** Passes on what is parked, in order, as far as window and sink let it. */
  #advance(): void {
    const parked = this.#parked;
    const { frame } = this.#context;
    while (parked.count > 0) {
      parked.read(frame);
      if (!this.#mayOffer(frame.qos)) return;
      // It was a valid topic when it was parked.
      const topic = this.#topics.intern(frame.buffer, frame.start + 2, frame.topicEnd) as InternedTopic;
      if (!this.#pass(parked.kind, topic, frame)) return;
      parked.shift();
      this.#context.stats.parkedMessages--;
    }
  }

  // Back from the sink.

  complete(token: number, outcome: Outcome): void {
    const qos2 = (token & 3) === 2 && !this.session.clean && outcome !== Outcome.Refused;
    const isKept =
      qos2 &&
      this.session.qos2Keep(this.acks.of(2).packetId(token >>> TOKEN_QOS_BITS), () =>
        this.#completed(token, outcome),
      );
    if (!isKept) this.#completed(token, outcome);
  }

  #completed(token: number, outcome: Outcome): void {
    const qos = token & 3;
    const { stats } = this.#context;
    // First of all, because a closed connection is not sent what is settled below.
    if (outcome === Outcome.Refused) this.#owner?.refused();
    if (qos === 0 || qos === WILL_TOKEN) {
      this.#inFlightQos0--;
      if (qos === 0 && outcome !== Outcome.Refused) stats.acknowledged[0]++;
    } else {
      const sequence = token >>> TOKEN_QOS_BITS;
      const packetId = this.acks.of(qos).packetId(sequence);
      const reason = outcome === Outcome.Refused ? ReasonCode.NotAuthorized : ReasonCode.Success;
      if (!this.acks.of(qos).settle(sequence, reason)) {
        this.#context.logger.error({ client: this.session.clientId, packetId }, 'completed more than once');
        return;
      }
      this.#inFlight--;
      if (qos === 2) {
        if (outcome === Outcome.Refused) this.session.qos2Forgotten(packetId);
        else this.session.qos2Completed(packetId);
      } else {
        this.repeats.completed(sequence, outcome);
      }
    }
    stats.inFlight--;
    this.#context.schedule(this);
  }

  /**
   * Tries again at once, so that whoever has room to give sees how much is left for the next one; unless the
   * sink is called just now, which would mix up two publications.
   */
  resume(): void {
    this.#sinkFull = false;
    if (!this.#context.accepting) this.#advance();
    this.#context.schedule(this);
  }

  /** The first occurrence of a repeated publication is complete. */
  repeatCompleted(qos: 1 | 2, sequence: number): void {
    this.#settle(qos, sequence);
  }

  repeatRefused(): void {
    this.#owner?.refused();
  }

  // Turns: everything that a completion leads to happens here, once a turn of the event loop.

  turn(): void {
    if (this.#owner === undefined) this.acks.forget();
    else this.writeAcks();
    if (this.#parked.count > 0) this.#advance();
    if (this.#parked.count === 0 && this.#successor !== undefined) this.#context.schedule(this.#successor);
    if (this.#owner !== undefined) this.#owner.unblocked();
    else if (this.idle) this.#finish();
  }

  /** Writes the acknowledgements that may leave. */
  writeAcks(): void {
    if (this.#owner !== undefined) this.#context.ackWriter.write(this.acks, this.#owner.transport);
  }

  /** A fault of ours: the connection is closed, others go on. */
  fail(error: unknown): void {
    const { logger } = this.#context;
    logger.error({ client: this.session.clientId, reason: errorMessage(error) }, 'an MQTT connection failed');
    this.#owner?.failed(error);
  }

  // The end of the connection.

  /** Publications of this lane wait until those parked in `predecessor` are with the sink. */
  follow(predecessor: PublicationLane): void {
    this.#predecessor = predecessor;
    predecessor.#successor = this;
  }

  /**
   * The connection has ended. What was received goes on, but is not acknowledged any more. Without DISCONNECT its
   * will follows, in the next turn because the sink may be in the middle of what has led to this; unless it is the
   * gateway that stops, which may keep wills back (section 3.1.2.5) and takes on nothing new.
   */
  detach(disconnected: boolean, will?: Will): void {
    this.#owner = undefined;
    this.disconnected = disconnected;
    const { taking, stats } = this.#context;
    if (!disconnected && will !== undefined && taking) {
      stats.wills++;
      this.#parkWill(will, this.#context.wallMs());
    }
    this.#context.schedule(this);
  }

  /** Behind all other publications of the connection; nobody waits for an acknowledgement. */
  #parkWill({ header, frame: bytes }: ParkableWill, receivedAtMs: number): void {
    const { frame } = this.#context;
    frame.readWill(header, bytes, 0, bytes.length, receivedAtMs);
    this.#park(ParkedKind.Will, frame);
  }

  /** The client is back and sends again what has no acknowledgement: what is parked is dropped; its wills stay. */
  discardParked(): void {
    const { stats, frame } = this.#context;
    const parked = this.#parked;
    stats.discarded += parked.publications;
    const wills: (ParkableWill & { readonly receivedAtMs: number })[] = [];
    while (parked.count > 0) {
      const { kind } = parked;
      stats.parkedMessages--;
      parked.read(frame);
      const { header, qos, packetId, receivedAtMs, buffer, start, end } = frame;
      if (kind === ParkedKind.Will) {
        wills.push({ header, receivedAtMs, frame: Buffer.from(buffer.subarray(start, end)) });
      } else if (qos === 2 && kind !== ParkedKind.Repeat) {
        if (kind === ParkedKind.Publish) this.session.qos2Discarded(packetId);
        else this.session.qos2Forgotten(packetId);
      }
      parked.shift();
    }
    for (const will of wills) this.#parkWill(will, will.receivedAtMs);
    this.#context.schedule(this);
  }

  #finish(): void {
    // The sink may still tell it of room that it asked for.
    if (this.#finished) return;
    this.#finished = true;
    const predecessor = this.#predecessor;
    const successor = this.#successor;
    if (predecessor !== undefined) predecessor.#successor = successor;
    if (successor !== undefined) {
      successor.#predecessor = predecessor;
      this.#context.schedule(successor);
    }
    this.#context.finished(this, predecessor);
  }
}

/** What all lanes of an ingress share. */
export interface LaneContext {
  readonly sink: PublicationSink;
  readonly topics: TopicTable;
  readonly broker: LocalSubscribers;
  readonly permissions: Permissions;
  readonly limits: IngressLimits;
  readonly stats: IngressStats;
  readonly memory: ReadAhead;
  readonly logger: Logger;
  readonly ackWriter: AckWriter;
  /** The one instance that is lent to the sink. */
  readonly publication: { -readonly [Field in keyof Publication]: Publication[Field] };
  /** The PUBLISH that is being worked on. */
  readonly frame: PublishFrame;
  /** The sink is in the middle of accept(), and has {@link publication}. */
  accepting: boolean;
  /** Wall clock of the read that is being worked on. */
  receivedAtMs: number;
  wallMs(): number;
  /** Whether publications are taken: false from the moment on in which the gateway stops. */
  readonly taking: boolean;
  /** Has {@link PublicationLane.turn} called for the lane, once, in the next turn of the event loop. */
  schedule(lane: PublicationLane): void;
  /** Nothing is left in a lane whose connection has ended. `before`: an earlier one that has something left. */
  finished(lane: PublicationLane, before: PublicationLane | undefined): void;
  /** A publication went to a topic that clients can't write. */
  reservedTopic(clientId: string, topic: string): void;
}

/** Who has subscribed here, as publications reach them on their way to the sink. */
export interface LocalSubscribers {
  hasSubscribers(topic: InternedTopic): boolean;
  /** Delivers to them, and stores what is retained. Copies the payload. */
  deliver(topic: InternedTopic, payload: Buffer, qos: QoS, retain: boolean): void;
}

/** The connection that a lane belongs to, while it is open. */
export interface LaneOwner {
  readonly transport: Transport;
  /** Whether its client may publish to the topic. */
  mayPublish(topic: string): boolean;
  /** The device must not be acknowledged: the connection is closed. */
  refused(): void;
  /** A fault of ours. */
  failed(error: unknown): void;
  /** There may be room again: see whether the socket can be read. */
  unblocked(): void;
}
