interface Moments {
  /** When something was last ready to be sent to the broker; monotonic milliseconds. */
  readyMs: number;
  /** When the broker could last be sent to. */
  drainedMs: number;
}

/** For how long brokers have had something to take and not been able to (Java: NodeLatencyStats). */
export class BrokerAvailability {
  readonly #timeoutMs: number;
  readonly #moments = new Map<number, Moments>();

  /** @param timeoutMs partitioner.availability.timeout.ms; 0: every broker is available */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** There is something to be sent to the broker, and it can, or can't, be sent now. */
  note(brokerId: number, nowMs: number, canSend: boolean): void {
    if (this.#timeoutMs === 0) return;
    const moments = this.#moments.get(brokerId) ?? { readyMs: nowMs, drainedMs: nowMs };
    moments.readyMs = nowMs;
    if (canSend) moments.drainedMs = nowMs;
    this.#moments.set(brokerId, moments);
  }

  readonly isUnavailable = (brokerId: number): boolean => {
    const moments = this.#moments.get(brokerId);
    return moments !== undefined && moments.readyMs - moments.drainedMs > this.#timeoutMs;
  };
}
