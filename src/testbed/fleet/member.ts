import type { Clock } from '../../core/clock.ts';
import type { DeviceMessage, SimulatedDevice } from './device.ts';
import type { Latency } from '../../core/latency.ts';
import type { DeviceLink } from './mqtt-link.ts';

/** Watches a fleet from the outside. The calls come on the publish path: keep them short. */
export interface FleetObserver {
  /** A device joined, before anything else is said of it. */
  joined?(device: string, type: string, topic: string): void;
  /** Message `sequence` of `device` was handed to the connection; its payload is not written to any more. */
  sent?(device: string, sequence: number, payload: Uint8Array): void;
  /** Message `sequence` of `device` had its PUBACK (QoS 1) or PUBCOMP (QoS 2); once for each message. */
  acknowledged?(device: string, sequence: number): void;
  /** The connection of `device` ended without a DISCONNECT. */
  connectionLost?(device: string): void;
}

export interface MemberOptions {
  readonly device: SimulatedDevice;
  /** Messages to send in all; Infinity without an end. */
  readonly quota: number;
  /** Most messages in flight. */
  readonly window: number;
  /** Most turns that wait. */
  readonly backlog: number;
  /** Whether messages of this QoS are acknowledged. */
  readonly countsAcknowledgements: boolean;
  readonly clock: Clock;
  readonly observer: FleetObserver;
  readonly latency: Latency;
  /** A message was settled and none other followed it. */
  readonly settled: () => void;
  /** The device's readings can't be encoded. */
  readonly failed: (error: unknown) => void;
}

/** One device of a running fleet: its turns, its window, its counts. */
export class Member {
  readonly device: SimulatedDevice;
  link: DeviceLink | undefined;
  isUp = false;
  isRefused = false;
  sent = 0;
  acknowledged = 0;
  inFlight = 0;
  lostConnections = 0;
  readonly #options: MemberOptions;
  /** Messages that may be sent: lowered to what was sent when publishing stops. */
  #quota: number;
  /** Turns taken; those not sent yet wait for a connection or for room in the window. */
  #turns = 0;
  #pumping = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#quota = options.quota;
    this.device = options.device;
  }

  /** All of its messages have had their turn, or it will never publish. */
  get hasSentItsShare(): boolean {
    return this.isRefused || this.#turns >= this.#quota;
  }

  /** All of its messages are sent, or it will never publish. */
  get isFinished(): boolean {
    return this.isRefused || this.sent >= this.#quota;
  }

  /** Messages that have had their turn and are not sent. */
  get waiting(): number {
    return Math.max(0, Math.min(this.#turns, this.#quota) - this.sent);
  }

  /** It may publish one more message, at once or as soon as it can. False: too many wait already. */
  takeTurn(): boolean {
    if (this.waiting >= this.#options.backlog) return false;
    this.#turns++;
    this.#pump();
    return true;
  }

  /** It may publish all of its messages as fast as the window allows. */
  takeAllTurns(): void {
    this.#turns = this.#quota;
    this.#pump();
  }

  stopPublishing(): void {
    this.#quota = this.sent;
    this.#turns = this.sent;
  }

  up(): void {
    this.isUp = true;
    this.#announce();
    this.#pump();
  }

  /** The device has a command. */
  command(payload: Uint8Array): void {
    if (this.isUp && this.device.session?.asksForBirths(payload) === true) this.#announce();
  }

  /** Sends its births, of protocols that have them. They are no readings, and don't count as such. */
  #announce(): void {
    for (const message of this.device.births(this.#options.clock.wallMs())) this.#publishAside(message);
  }

  #publishAside({ topic, payload }: DeviceMessage): void {
    this.link?.publish(topic, payload, () => {
      // What is missing when the connection ends is waited for by its end.
    });
  }

  down(): void {
    this.isUp = false;
    this.lostConnections++;
  }

  refuse(): void {
    this.isUp = false;
    this.isRefused = true;
  }

  async disconnect(timeoutMs: number): Promise<void> {
    const death = this.device.session?.death(this.#options.clock.wallMs());
    if (this.isUp && death !== undefined) this.#publishAside(death);
    await this.link?.end(timeoutMs);
  }

  #pump(): void {
    // A QoS 0 message is settled before `publish` returns: without the flag each would be one stack frame deeper.
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.isUp && this.sent < this.#turns && this.inFlight < this.#options.window) this.#publish();
    this.#pumping = false;
  }

  #publish(): void {
    const { device, clock, observer, failed } = this.#options;
    const sequence = this.sent + 1;
    let message: DeviceMessage;
    try {
      message = device.message(sequence, clock.wallMs());
    } catch (error) {
      this.stopPublishing();
      failed(error);
      return;
    }
    const sentAtMs = clock.monotonicMs();
    this.sent = sequence;
    this.inFlight++;
    observer.sent?.(device.id, sequence, message.payload);
    this.link?.publish(message.topic, message.payload, (error) => {
      this.inFlight--;
      if (error === undefined && this.#options.countsAcknowledgements) this.#acknowledged(sequence, sentAtMs);
      this.#pump();
      this.#options.settled();
    });
  }

  #acknowledged(sequence: number, sentAtMs: number): void {
    const { device, clock, observer, latency } = this.#options;
    const nowMs = clock.monotonicMs();
    this.acknowledged++;
    latency.record(nowMs - sentAtMs, nowMs);
    observer.acknowledged?.(device.id, sequence);
  }
}
