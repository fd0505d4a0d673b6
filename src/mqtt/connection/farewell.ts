import type { Transport } from '../edge/transport.ts';
import { ticksOf, type IngressLimits } from '../limits.ts';
import type { CloseReason } from '../stats.ts';

/** What the ends of connections share. */
export interface FarewellContext {
  /** Counts turns of the keepalive clock, TICK_MS apart. */
  readonly tick: number;
  readonly limits: IngressLimits;
  /** The gateway has not begun to stop. */
  readonly taking: boolean;
  /** Connections that are made to wait for their end. */
  braked: number;
}

/** How long a closed connection may take to read our last bytes, in ticks. */
const LINGER_TICKS = 4;

/**
 * Ends for which a device may come again at once, with the same. They are told late: a loop of connections without
 * pause would cost more than the device's telemetry.
 */
const BRAKED: ReadonlySet<CloseReason> = new Set([
  'protocol-violation',
  'packet-too-large',
  'unsupported-version',
  'identifier-rejected',
  'not-authorised',
  'refused',
  'session-busy',
]);

/**
 * The end of a connection's socket: last bytes, a while to read them, and that it is really gone. Some clients are
 * made to wait for it, as many at a time as there is room for.
 */
export class Farewell {
  readonly #transport: Transport;
  readonly #context: FarewellContext;
  readonly #lastWords: Buffer | undefined;
  #deadlineTick: number;
  #isBraked: boolean;

  /** `lastWords`: a CONNACK that says no. */
  constructor(
    transport: Transport,
    context: FarewellContext,
    reason: CloseReason,
    lastWords: Buffer | undefined,
  ) {
    this.#transport = transport;
    this.#context = context;
    this.#lastWords = lastWords;
    const { tick, limits, taking } = context;
    this.#isBraked =
      BRAKED.has(reason) && limits.refusalDelayMs > 0 && taking && context.braked < limits.maxBraked;
    this.#deadlineTick = tick + ticksOf(limits.refusalDelayMs);
    if (!this.#isBraked) this.#end();
    else {
      context.braked++;
      transport.pause();
    }
  }

  ticked(): void {
    if (this.#context.tick < this.#deadlineTick) return;
    if (this.#isBraked) this.hurry();
    else this.#transport.destroy();
  }

  /** No more waiting. */
  hurry(): void {
    if (!this.#isBraked) return;
    this.gone();
    this.#end();
  }

  /** The socket is closed. */
  gone(): void {
    if (this.#isBraked) this.#context.braked--;
    this.#isBraked = false;
  }

  #end(): void {
    this.#deadlineTick = this.#context.tick + LINGER_TICKS;
    const transport = this.#transport;
    if (this.#lastWords !== undefined && !transport.destroyed) transport.write(this.#lastWords);
    // Not destroyed at once: bytes that nobody has read would turn our last packets into a reset.
    transport.end();
    transport.resume();
  }
}
