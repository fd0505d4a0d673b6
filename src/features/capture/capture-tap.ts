import { Readable } from 'node:stream';
import type { Publication, PublicationOrigin, PublicationSink, Topic } from '../../core/publication.ts';
import { filterMatches, isTopicFilter } from '../../mqtt/topics/topic-filter.ts';
import { beginLine, messageLine, missedLine } from './captured-message.ts';

/** What is held for a reader that is slower than the devices; bytes. Beyond it messages are missed, and counted. */
const BUFFER_BYTES = 8 * 1_048_576;
/** Captures at the same time. */
export const MAX_CAPTURES = 4;

export interface CaptureRequest {
  /** As it stands in the capture's first line. */
  readonly filter: string;
  readonly wants: (topicName: string) => boolean;
  /** Ends after so many messages. */
  readonly count: number;
}

/**
 * Stands before delivery and writes down what passes, for whoever asks. A message is written down once, when it has
 * been taken: one that waits for room is offered again. Devices never wait for a capture: a reader that is too slow
 * misses messages, and its capture says how many and where. With nobody asking it costs one call a message.
 */
export class CaptureTap implements PublicationSink {
  readonly #next: PublicationSink;
  readonly #wallMs: () => number;
  #captures: readonly LiveCapture[] = [];

  constructor(next: PublicationSink, wallMs: () => number) {
    this.#next = next;
    this.#wallMs = wallMs;
  }

  accept(publication: Publication, origin: PublicationOrigin, token: number): boolean {
    if (this.#captures.length === 0) return this.#next.accept(publication, origin, token);
    return this.#acceptAndCapture(publication, origin, token);
  }

  suppressed(topic: Topic): void {
    this.#next.suppressed?.(topic);
  }

  /** The lines of a capture from now on, or undefined: there are {@link MAX_CAPTURES} already. */
  open(request: CaptureRequest): Readable | undefined {
    if (this.#captures.length >= MAX_CAPTURES) return undefined;
    const capture = new LiveCapture(request, this.#wallMs());
    this.#captures = [...this.#captures, capture];
    capture.lines.once('close', () => {
      this.#captures = this.#captures.filter((other) => other !== capture);
    });
    return capture.lines;
  }

  /** Ends all captures. */
  close(): void {
    for (const capture of this.#captures) capture.end();
  }

  #acceptAndCapture(publication: Publication, origin: PublicationOrigin, token: number): boolean {
    const { topic } = publication;
    // Taken down first: once it is accepted, the publication may be another one already.
    const wanting = this.#captures.filter((capture) => capture.wants(topic));
    const line = wanting.some((capture) => capture.hasRoom) ? messageLine(publication) : undefined;
    const taken = this.#next.accept(publication, origin, token);
    if (taken) for (const capture of wanting) capture.write(line);
    return taken;
  }
}

class LiveCapture {
  readonly lines: Readable;
  readonly #wants: (topicName: string) => boolean;
  /** Asked once for each topic; topics are interned. */
  readonly #wanted = new WeakMap<Topic, boolean>();
  #left: number;
  #missed = 0;
  #ended = false;

  constructor({ filter, wants, count }: CaptureRequest, nowMs: number) {
    this.#wants = wants;
    this.#left = count;
    this.lines = new Readable({
      read() {
        // Lines are pushed as messages come.
      },
    });
    this.lines.push(beginLine(nowMs, filter));
  }

  get hasRoom(): boolean {
    return this.lines.readableLength < BUFFER_BYTES;
  }

  wants(topic: Topic): boolean {
    if (this.#ended) return false;
    let wanted = this.#wanted.get(topic);
    if (wanted === undefined) {
      wanted = this.#wants(topic.name);
      this.#wanted.set(topic, wanted);
    }
    return wanted;
  }

  write(line: string | undefined): void {
    if (this.#ended) return;
    if (line === undefined || !this.hasRoom) {
      this.#missed++;
      return;
    }
    this.#writeMissed();
    this.lines.push(line);
    this.#left--;
    if (this.#left <= 0) this.end();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#writeMissed();
    this.lines.push(null);
  }

  #writeMissed(): void {
    if (this.#missed === 0) return;
    this.lines.push(missedLine(this.#missed));
    this.#missed = 0;
  }
}

/** What somebody asks of the admin port. */
export interface CaptureQuery {
  /** An MQTT topic filter; left out, all topics. */
  readonly topic?: string;
  /** Ends after so many messages; left out, never. */
  readonly count?: string;
}

/** Begins a capture, or says why not: `busy` if it may be possible later. */
export function openCapture(
  tap: CaptureTap,
  { topic: filter = '#', count }: CaptureQuery,
): { readonly lines: Readable } | { readonly problem: string; readonly busy: boolean } {
  const invalid = (problem: string) => ({ problem, busy: false });
  if (!isTopicFilter(filter)) {
    return invalid(`topic: found ${JSON.stringify(filter)}, expected an MQTT topic filter`);
  }
  const limit = count === undefined ? Number.POSITIVE_INFINITY : Number(count);
  if (limit !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(limit) && limit >= 1)) {
    return invalid(`count: found ${JSON.stringify(count)}, expected a whole number from 1`);
  }
  const wants = (topicName: string): boolean => filterMatches(filter, topicName);
  const lines = tap.open({ filter, wants, count: limit });
  if (lines !== undefined) return { lines };
  return { problem: `there are ${MAX_CAPTURES} captures already`, busy: true };
}
