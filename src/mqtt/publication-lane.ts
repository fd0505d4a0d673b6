import { errorMessage } from '../core/errors.ts';
import { Outcome } from '../core/outcome.ts';
import type { PublicationOrigin, QoS } from '../core/publication.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { LaneContext, LaneOwner } from './lane-context.ts';
import { ParkedFrames, ParkedKind } from './parked-frames.ts';
import { Qos2State, type Session } from './session.ts';
import type { InternedTopic } from './topic-table.ts';

/** QoS 0 waits for no answer, and a device that sends nothing else should not crawl along a window of 64. */
const QOS0_QUOTA_FACTOR = 16;
/** QoS 2 packet ids between PUBREC and PUBREL; a client has that many in flight only by mistake. */
const MAX_OPEN_QOS2 = 4_096;
const TOKEN_QOS_BITS = 2;

/**
 * The way of one connection's publications: receipt, the in-flight window, parking, completion,
 * acknowledgement in order of receipt. It outlives its connection until everything received is with the sink
 * and complete.
 */
export class PublicationLane implements PublicationOrigin {
  readonly session: Session;
  readonly #context: LaneContext;
  #owner: LaneOwner | undefined;
  /** What the device is owed; {@link LaneOwner.writeAcks} writes it. */
  readonly acks = new Acknowledgements();
  readonly #parked: ParkedFrames;
  #inFlight = 0;
  #inFlightQos0 = 0;
  /** The sink has no room; it calls resume(). */
  #sinkFull = false;
  #lastTopic: InternedTopic | undefined;
  /** Lanes of earlier connections of the same client, whose parked publications come first. */
  #predecessor: PublicationLane | undefined;
  #successor: PublicationLane | undefined;
  #finished = false;
  /** The connection has ended with DISCONNECT. */
  disconnected = false;
  /** Set by the context: already in its list for the next turn. */
  scheduled = false;

  constructor(context: LaneContext, session: Session, owner: LaneOwner) {
    this.#context = context;
    this.session = session;
    this.#owner = owner;
    this.#parked = new ParkedFrames(context.memory);
  }

  /** Bytes parked here and at the predecessors that this lane waits for. */
  get parkedBytes(): number {
    return this.#parked.bytes + (this.#predecessor?.parkedBytes ?? 0);
  }

  get idle(): boolean {
    return this.#inFlight + this.#inFlightQos0 + this.#parked.count === 0;
  }

  // Receipt.

  /**
   * One PUBLISH (MQTT 3.1.1 section 3.3): `header` is its first byte, buffer[start, end) what follows the fixed
   * header. Returns what is wrong with it, if anything is.
   */
  publish(header: number, buffer: Buffer, start: number, end: number): string | undefined {
    const context = this.#context;
    const qos = (header >> 1) & 3;
    if (qos === 3) return 'PUBLISH with QoS 3 ([MQTT-3.3.1-4])';
    if (qos === 0 && (header & 0x08) !== 0) return 'PUBLISH with QoS 0 and DUP ([MQTT-3.3.1-2])';
    const topicStart = start + 2;
    const topicEnd = topicStart + (((buffer[start] as number) << 8) | (buffer[start + 1] as number));
    const payloadStart = qos === 0 ? topicEnd : topicEnd + 2;
    if (topicStart > end || payloadStart > end) return 'PUBLISH is cut off';
    const topic = this.#topicOf(buffer, topicStart, topicEnd);
    if (topic === undefined) return 'PUBLISH with an invalid topic name ([MQTT-3.3.2-1], [MQTT-3.3.2-2])';
    let packetId = 0;
    if (qos !== 0) {
      packetId = ((buffer[topicEnd] as number) << 8) | (buffer[topicEnd + 1] as number);
      if (packetId === 0) return 'PUBLISH with packet identifier 0 ([MQTT-2.3.1-1])';
    }
    context.stats.received[qos as QoS]++;

    let kind: ParkedKind = ParkedKind.Publish;
    let known: Qos2State | undefined;
    if (qos === 2) {
      known = this.session.qos2State(packetId);
      if (known === undefined && this.session.qos2Count >= MAX_OPEN_QOS2) {
        return `more than ${MAX_OPEN_QOS2} QoS 2 publications without PUBREL`;
      }
      if (known === Qos2State.InFlight || known === Qos2State.Completed) {
        context.stats.repeated++;
        kind = ParkedKind.Repeat;
      } else {
        this.session.qos2Received(packetId);
      }
    }
    if (known === undefined && !this.#receive(topic, header, buffer, payloadStart, end)) {
      kind = ParkedKind.Acknowledge;
    }
    if (this.#parked.count > 0 || !this.#mayOffer(qos)) {
      this.#park(kind, header, buffer, start, end);
    } else if (kind !== ParkedKind.Publish) {
      this.#acknowledge(kind, qos, packetId);
    } else if (
      !this.#offer(topic, header, packetId, buffer.subarray(payloadStart, end), context.receivedAtMs)
    ) {
      this.#park(kind, header, buffer, start, end);
    }
    return undefined;
  }

  /** A PUBREL ([MQTT-4.3.3-2]); answered whether or not its packet identifier is known. */
  release(packetId: number): string | undefined {
    if (this.session.qos2State(packetId) === Qos2State.InFlight) {
      return 'PUBREL for a publication that has had no PUBREC ([MQTT-4.3.3-1])';
    }
    this.session.qos2Released(packetId);
    this.acks.release(packetId);
    this.#context.schedule(this);
    return undefined;
  }

  #topicOf(buffer: Buffer, start: number, end: number): InternedTopic | undefined {
    const last = this.#lastTopic;
    if (last?.equals(buffer, start, end) === true && !last.evicted) return last;
    const topic = this.#context.topics.intern(buffer, start, end);
    if (topic !== undefined) this.#lastTopic = topic;
    return topic;
  }

  /** What happens at receipt, whenever the sink gets it. Returns whether the sink gets it. */
  #receive(topic: InternedTopic, header: number, buffer: Buffer, start: number, end: number): boolean {
    const { broker, stats } = this.#context;
    if (topic.reserved) {
      // No client may write `$` topics (section 4.7.2), and MQTT 3.1.1 leaves only two ways to say so: to
      // acknowledge and drop, or to close the connection ([MQTT-3.3.5-2]). We acknowledge, like mosquitto and
      // EMQX: no route can match such a topic, so no contract is broken, and a closed connection would take the
      // device's telemetry with it, again and again, as it repeats the message.
      stats.reservedTopicDrops++;
      this.#owner?.reservedTopic(topic.name);
      return false;
    }
    const retain = (header & 1) !== 0;
    if (retain || broker.hasSubscribers(topic)) {
      broker.deliver(topic, buffer.subarray(start, end), ((header >> 1) & 3) as QoS, retain);
    }
    // An empty retained message deletes the retained one ([MQTT-3.3.1-10]); it is no telemetry.
    return !(retain && start === end);
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

  #offer(
    topic: InternedTopic,
    header: number,
    packetId: number,
    payload: Buffer,
    receivedAtMs: number,
  ): boolean {
    const { publication, sink, stats } = this.#context;
    const qos = ((header >> 1) & 3) as QoS;
    publication.topic = topic;
    publication.payload = payload;
    publication.qos = qos;
    publication.retain = (header & 1) !== 0;
    publication.dup = (header & 8) !== 0;
    publication.packetId = packetId;
    publication.clientId = this.session.clientId;
    publication.receivedAtMs = receivedAtMs;
    let sequence = 0;
    if (qos === 0) this.#inFlightQos0++;
    else {
      this.#inFlight++;
      sequence = this.acks.open(qos, packetId);
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
    if (qos === 0) this.#inFlightQos0--;
    else {
      this.#inFlight--;
      this.acks.withdraw(qos);
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
    const sequence = this.acks.open(qos, packetId);
    if (kind === ParkedKind.Repeat && this.session.qos2State(packetId) === Qos2State.InFlight) {
      this.session.qos2Repeated(packetId, this, sequence);
      return;
    }
    if (kind === ParkedKind.Acknowledge && qos === 2) this.session.qos2Completed(packetId);
    this.acks.settle(qos, sequence);
    this.#context.schedule(this);
  }

  #park(kind: ParkedKind, header: number, buffer: Buffer, start: number, end: number): void {
    const { stats, receivedAtMs } = this.#context;
    this.#parked.push(kind, header, receivedAtMs, buffer, start, end);
    stats.parkedMessages++;
  }

  /** Passes on what is parked, in order, as far as window and sink let it. */
  #advance(): void {
    const { stats } = this.#context;
    const parked = this.#parked;
    while (parked.count > 0) {
      const { buffer, header, kind, start, end } = parked;
      const qos = (header >> 1) & 3;
      if (!this.#mayOffer(qos)) return;
      const topicEnd = start + 2 + buffer.readUInt16BE(start);
      const packetId = qos === 0 ? 0 : buffer.readUInt16BE(topicEnd);
      if (kind === ParkedKind.Publish) {
        const topic = this.#topicOf(buffer, start + 2, topicEnd);
        const payload = buffer.subarray(qos === 0 ? topicEnd : topicEnd + 2, end);
        // It was a valid topic when it was parked.
        if (!this.#offer(topic as InternedTopic, header, packetId, payload, parked.receivedAtMs)) return;
      } else {
        this.#acknowledge(kind, qos, packetId);
      }
      parked.shift();
      stats.parkedMessages--;
    }
  }

  // Back from the sink.

  complete(token: number, outcome: Outcome): void {
    const qos = token & 3;
    const { stats } = this.#context;
    // First of all, because a closed connection is not sent what is settled below.
    if (outcome === Outcome.Refused) this.#owner?.refused();
    if (qos === 0) {
      this.#inFlightQos0--;
      if (outcome !== Outcome.Refused) stats.acknowledged[0]++;
    } else {
      const sequence = token >>> TOKEN_QOS_BITS;
      const packetId = this.acks.packetId(qos, sequence);
      if (!this.acks.settle(qos, sequence)) {
        this.#context.logger.error({ client: this.session.clientId, packetId }, 'completed more than once');
        return;
      }
      this.#inFlight--;
      if (qos === 2) {
        if (outcome === Outcome.Refused) this.session.qos2Forgotten(packetId);
        else this.session.qos2Completed(packetId);
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
  repeatCompleted(sequence: number): void {
    this.acks.settle(2, sequence);
    this.#context.schedule(this);
  }

  repeatRefused(): void {
    this.#owner?.refused();
  }

  // Turns: everything that a completion leads to happens here, once a turn of the event loop.

  turn(): void {
    if (this.#owner === undefined) this.acks.forget();
    else this.#owner.writeAcks();
    if (this.#parked.count > 0) this.#advance();
    if (this.#parked.count === 0 && this.#successor !== undefined) this.#context.schedule(this.#successor);
    if (this.#owner !== undefined) this.#owner.unblocked();
    else if (this.idle) this.#finish();
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

  /** The connection has ended. What was received goes on, but is not acknowledged any more. */
  detach(disconnected: boolean): void {
    this.#owner = undefined;
    this.disconnected = disconnected;
    this.#context.schedule(this);
  }

  /** The client is back and sends again what has no acknowledgement: what is parked is dropped. */
  discardParked(): void {
    const { stats } = this.#context;
    stats.parkedMessages -= this.#parked.count;
    stats.discarded += this.#parked.publications;
    while (this.#parked.count > 0) {
      const { buffer, header, start } = this.#parked;
      if (((header >> 1) & 3) === 2 && this.#parked.kind !== ParkedKind.Repeat) {
        const packetId = buffer.readUInt16BE(start + 2 + buffer.readUInt16BE(start));
        if (this.#parked.kind === ParkedKind.Publish) this.session.qos2Discarded(packetId);
        else this.session.qos2Forgotten(packetId);
      }
      this.#parked.shift();
    }
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
    this.#context.finished(this);
  }
}
