import type { Socket } from 'node:net';
import type { Cancel, Clock } from '../../core/clock.ts';
import { FrameSplitter, encodeRequest } from '../protocol/frames.ts';
import { ProtocolReader } from '../protocol/protocol-bytes.ts';
import type { ApiVersion } from '../protocol/api-versions.ts';

export interface RequestChannelOptions {
  readonly clientId: string;
  /** A request without an answer after this time ends the connection. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
}

/** A request that waits for its answer. */
interface InFlight {
  readonly correlationId: number;
  readonly responseTags: boolean;
  readonly cancelTimeout: Cancel;
  readonly resolve: (body: Buffer) => void;
  readonly reject: (reason: Error) => void;
}

/** size int32, correlation_id int32 */
const ANSWER_HEADER_BYTES = 8;
/** How long bytes that are still to be written may hold up a close. */
const CLOSE_PATIENCE_MS = 1_000;

/**
 * Requests and their answers over one socket. Brokers answer in the order of the requests (Kafka protocol guide,
 * "Network"); an answer to anything else, or one that is no answer at all, ends the connection, because nothing
 * behind it could be trusted. However it ends, each request is rejected once, with the reason.
 */
export class RequestChannel {
  /** Called once, when the socket is gone, before requests are told. */
  onGone: (() => void) | undefined;

  readonly #socket: Socket;
  readonly #clientId: Buffer;
  readonly #options: RequestChannelOptions;
  readonly #answers = new FrameSplitter();
  readonly #inFlight: InFlight[] = [];
  #lastCorrelationId = 0;
  /** Why no more requests are taken. */
  #refusal: Error | undefined;
  #isGone = false;

  /** @param socket connected, and nobody else's from now on */
  constructor(socket: Socket, options: RequestChannelOptions) {
    this.#socket = socket;
    this.#clientId = Buffer.from(options.clientId);
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => this.end(error));
    socket.on('end', () => {
      const where = this.#answers.isWithinFrame ? ' in the middle of an answer' : '';
      this.end(new Error(`the broker closed the connection${where}`));
    });
    socket.on('close', () => this.end(new Error('the connection was closed')));
    if (socket.destroyed) this.end(new Error('the connection was closed'));
  }

  /** Whether requests are taken. */
  get isOpen(): boolean {
    return this.#refusal === undefined;
  }

  /**
   * Sends one request; requests leave in the order of the calls.
   * @returns the response's body, behind its header: a view on what was read from the socket
   * @throws Error why there is no answer
   */
  request(api: ApiVersion, body: readonly Uint8Array[]): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) {
        reject(this.#refusal);
        return;
      }
      const correlationId = this.#nextCorrelationId();
      const cancelTimeout = this.#endInTime();
      const { responseTags } = api;
      this.#inFlight.push({ correlationId, responseTags, cancelTimeout, resolve, reject });
      this.#write(encodeRequest(api, correlationId, this.#clientId, body));
    });
  }

  /**
   * Sends a request that is not answered (Produce with acks=0). Resolves when the kernel has it.
   * @throws Error why it has not
   */
  notify(api: ApiVersion, body: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) {
        reject(this.#refusal);
        return;
      }
      const cancelTimeout = this.#endInTime();
      this.#write(encodeRequest(api, this.#nextCorrelationId(), this.#clientId, body), (error) => {
        cancelTimeout();
        // Node calls back without an error for what it was still writing when the socket was destroyed.
        if (error == null && !this.#isGone) resolve();
        else reject(this.#refusal ?? error ?? new Error('the connection was closed'));
      });
    });
  }

  /** Ends the connection here and now, if it is not gone yet. */
  end(reason: Error): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#refusal ??= reason;
    // From here on nothing of any request is read any more.
    this.#socket.destroy();
    this.onGone?.();
    for (const { cancelTimeout, reject } of this.#inFlight.splice(0)) {
      cancelTimeout();
      reject(this.#refusal);
    }
  }

  /** Takes no more requests, and ends the connection when what was written has left. */
  async close(): Promise<void> {
    if (this.#isGone) return;
    this.#refusal ??= new Error('the connection was closed');
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.schedule(
        () => this.end(new Error('the connection was closed')),
        CLOSE_PATIENCE_MS,
      );
      this.#socket.once('close', () => {
        cancel();
        resolve();
      });
      this.#socket.destroySoon();
    });
  }

  #nextCorrelationId(): number {
    this.#lastCorrelationId = (this.#lastCorrelationId + 1) & 0x7fff_ffff;
    return this.#lastCorrelationId;
  }

  /** Ends the connection unless cancelled in time. */
  #endInTime(): Cancel {
    const { clock, requestTimeoutMs } = this.#options;
    return clock.schedule(
      () => this.end(new Error(`request.timeout.ms (${requestTimeoutMs} ms) is over`)),
      requestTimeoutMs,
    );
  }

  #write(pieces: readonly Uint8Array[], done?: (error: Error | null | undefined) => void): void {
    const socket = this.#socket;
    const last = pieces.length - 1;
    // One writev() for all pieces.
    socket.cork();
    for (let i = 0; i < last; i++) socket.write(pieces[i] as Uint8Array);
    socket.write(pieces[last] as Uint8Array, done);
    socket.uncork();
  }

  #onData(chunk: Buffer): void {
    try {
      for (const frame of this.#answers.take(chunk)) this.#onAnswer(frame);
    } catch (error) {
      this.end(error as Error);
    }
  }

  /** @throws Error it is not the answer that is next, or none at all */
  #onAnswer(frame: Buffer): void {
    const correlationId = frame.readInt32BE(4);
    const [next] = this.#inFlight;
    if (next?.correlationId !== correlationId) {
      const expected = next === undefined ? 'none' : `one to request ${next.correlationId}`;
      throw new Error(`the broker sent an answer to request ${correlationId} where ${expected} was due`);
    }
    const body = frame.subarray(next.responseTags ? endOfTags(frame) : ANSWER_HEADER_BYTES);
    this.#inFlight.shift();
    next.cancelTimeout();
    next.resolve(body);
  }
}

/** Behind the tagged fields of response header 1. */
function endOfTags(frame: Buffer): number {
  if (frame[ANSWER_HEADER_BYTES] === 0) return ANSWER_HEADER_BYTES + 1;
  const reader = new ProtocolReader(frame.subarray(ANSWER_HEADER_BYTES));
  reader.tags();
  return ANSWER_HEADER_BYTES + reader.position;
}
