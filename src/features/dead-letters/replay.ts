import { DEAD_LETTER_ORIGIN } from '../../core/dead-letter.ts';
import { SluiceError } from '../../core/errors.ts';
import { decodeHeaders } from '../../core/record.ts';
import type { DecodeFault } from '../../core/route.ts';
import { ProducerError } from '../../producer/errors.ts';
import { placeText, type LetterSource, type Place } from './dead-letter.ts';
import type { HandledLetters, Send } from './handled.ts';
import type { FoundLetter } from './letters.ts';
import type { LetterPart, Transcriber } from './transcriber.ts';

/** What became of one dead letter. */
export type ReplayOutcome =
  /** Its records are in Kafka; those of an unknown offset have -1. */
  | { readonly kind: 'replayed'; readonly records: readonly Place[] }
  /** With --dry-run: they would be. */
  | { readonly kind: 'would-replay'; readonly topics: readonly string[] }
  /** Understood, and by today's profile not worth a record: done. */
  | { readonly kind: 'filtered' }
  /** It stays a dead letter. */
  | { readonly kind: 'failed'; readonly fault: DecodeFault };

/** How a replay writes. */
export interface ReplayWriter {
  /** Must write each record once, in order; rejects with a ProducerError. */
  readonly send: Send;
  /** Resolves when the Kafka topic is there. */
  readonly ensureTopic: (topic: string) => Promise<void>;
  /** Throws when somebody else may be replaying: asked before anything is written. */
  readonly assertAlone: () => void;
}

export interface ReplayOptions {
  readonly source: LetterSource;
  readonly handled: HandledLetters;
  readonly transcriber: Transcriber;
  /** Left out, nothing is written: a dry run. */
  readonly writer?: ReplayWriter;
  readonly onOutcome: (letter: FoundLetter, outcome: ReplayOutcome) => void;
  /** Letters that are written together; default 500. */
  readonly chunkLetters?: number;
}

interface Transcribed {
  readonly found: FoundLetter;
  readonly parts: readonly LetterPart[];
  /** It stays a dead letter: some of its readings are still not understood. */
  readonly unread: DecodeFault | undefined;
}

const CHUNK_LETTERS = 500;
const CHUNK_BYTES = 4_194_304;

/**
 * Replays dead letters, some at a time: what is going to be written is written down first, then the records, then
 * that they are done. A replay that dies in between leaves the first of these behind, and the next one looks which
 * of those records are in Kafka: each says which dead letter it is of ({@link DEAD_LETTER_ORIGIN}).
 */
export class Replay {
  readonly #options: ReplayOptions;
  #chunk: Transcribed[] = [];
  #chunkBytes = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  /**
   * Finds out what an earlier replay wrote that did not live to say so.
   * @returns how many dead letters it had replayed
   */
  async recover(): Promise<number> {
    const { handled, source, writer } = this.#options;
    const { attempt } = handled;
    if (attempt === undefined || writer === undefined) return 0;
    const written = new Map(attempt.letters.map((letter) => [placeText(letter), new Set<number>()]));
    for (const [topic, ends] of Object.entries(attempt.ends)) {
      const described = await source.describe(topic);
      for (const [partition, { end }] of (described?.partitions ?? []).entries()) {
        for await (const records of source.read({ topic, partition, from: ends[partition] ?? 0, to: end })) {
          for (const { headers } of records) noteOrigin(headers, written);
        }
      }
    }
    let replayed = 0;
    for (const letter of attempt.letters) {
      const { offset, parts, isPartial = false } = letter;
      const found = written.get(placeText(letter)) ?? new Set();
      if (handled.of(letter, offset).state !== 'open') continue;
      if (!isPartial && parts.every((part) => found.has(part))) {
        handled.markReplayed(letter, offset);
        replayed++;
      } else handled.markWritten(letter, offset, found);
    }
    writer.assertAlone();
    await handled.finish();
    return replayed;
  }

  /** Replays one letter; it may wait for others, until {@link flush}. */
  async add(found: FoundLetter): Promise<void> {
    const { transcriber, chunkLetters = CHUNK_LETTERS } = this.#options;
    let transcript = transcriber.transcribe(found.letter);
    while ('whenReady' in transcript) {
      await transcript.whenReady;
      transcript = transcriber.transcribe(found.letter);
    }
    if ('fault' in transcript) {
      this.#failed(found, transcript.fault);
      return;
    }
    const { unread } = transcript;
    const parts = transcript.parts.filter(({ part }) => !found.handling.written.includes(part));
    if (parts.length === 0) {
      if (unread !== undefined) this.#failed(found, unread);
      else if (transcript.parts.length === 0) this.#done(found, { kind: 'filtered' });
      else this.#done(found, { kind: 'replayed', records: [] });
      return;
    }
    this.#chunk.push({ found, parts, unread });
    for (const { record } of parts) this.#chunkBytes += record.value?.length ?? 0;
    if (this.#chunk.length >= chunkLetters || this.#chunkBytes >= CHUNK_BYTES) await this.flush();
  }

  /**
   * Writes what was added, and remembers what became of all letters so far.
   * @throws SluiceError DLQ_REPLAY_INTERRUPTED when Kafka did not say what became of a record
   */
  async flush(): Promise<void> {
    const { handled, writer, onOutcome } = this.#options;
    const chunk = this.#chunk;
    this.#chunk = [];
    this.#chunkBytes = 0;
    if (writer === undefined) {
      for (const { found, parts } of chunk) {
        const topics = [...new Set(parts.map(({ record }) => record.topic))];
        onOutcome(found, { kind: 'would-replay', topics });
      }
      return;
    }
    writer.assertAlone();
    if (chunk.length > 0) {
      await this.#begin(chunk, writer);
      writer.assertAlone();
      await this.#write(chunk, writer.send);
    }
    await handled.finish();
  }

  async #begin(chunk: readonly Transcribed[], { ensureTopic }: ReplayWriter): Promise<void> {
    const { handled, source } = this.#options;
    const topics = new Set(chunk.flatMap(({ parts }) => parts.map(({ record }) => record.topic)));
    const ends: Record<string, readonly number[]> = {};
    for (const topic of topics) {
      await ensureTopic(topic);
      const described = await source.describe(topic);
      ends[topic] = described?.partitions.map(({ end }) => end) ?? [];
    }
    const letters = chunk.map(({ found: { log, letter }, parts, unread }) => ({
      topic: log.topic,
      topicId: log.topicId,
      partition: log.partition,
      offset: letter.offset,
      parts: parts.map(({ part }) => part),
      ...(unread === undefined ? {} : { isPartial: true as const }),
    }));
    await handled.begin({ letters, ends });
  }

  /** Writes all records of the chunk, and notes what became of each letter. */
  async #write(chunk: readonly Transcribed[], send: Send): Promise<void> {
    const results = await Promise.all(
      chunk.map(({ parts }) => Promise.all(parts.map(({ record }) => sent(send, record)))),
    );
    const unknown = results.flat().find(({ error }) => error !== undefined && !error.isRecordFault);
    if (unknown?.error !== undefined) {
      throw new SluiceError(
        'DLQ_REPLAY_INTERRUPTED',
        `Kafka did not say what became of records for ${unknown.topic} (${unknown.error.message}); ` +
          'run it again: what is in Kafka by then is found, and not written twice',
        { cause: unknown.error },
      );
    }
    chunk.forEach(({ found, parts, unread }, index) => {
      const own = results[index] ?? [];
      const failure = own.find(({ error }) => error !== undefined)?.error ?? unread;
      if (failure === undefined) {
        this.#done(found, { kind: 'replayed', records: own });
        return;
      }
      const inKafka = parts.filter((_, position) => own[position]?.error === undefined);
      const written = inKafka.map(({ part }) => part);
      this.#options.handled.markWritten(found.log, found.letter.offset, written);
      this.#failed(found, { code: failure.code, message: failure.message });
    });
  }

  #done(found: FoundLetter, outcome: ReplayOutcome): void {
    this.#options.handled.markReplayed(found.log, found.letter.offset);
    this.#options.onOutcome(found, outcome);
  }

  #failed(found: FoundLetter, fault: DecodeFault): void {
    this.#options.handled.markFailed(found.log, found.letter.offset);
    this.#options.onOutcome(found, { kind: 'failed', fault });
  }
}

/** Where Kafka has the record (offset -1: it doesn't say), or why it doesn't have it. */
async function sent(send: Send, record: LetterPart['record']): Promise<Place & { error?: ProducerError }> {
  try {
    const { topic, partition, offset } = await send(record);
    return { topic, partition, offset: Number(offset) };
  } catch (error) {
    if (error instanceof ProducerError) return { topic: record.topic, partition: -1, offset: -1, error };
    throw error;
  }
}

/** Notes which part of which letter a record is, if it is of one of these. */
function noteOrigin(headers: Uint8Array, written: ReadonlyMap<string, Set<number>>): void {
  const origin = decodeHeaders(headers).findLast(({ key }) => key === DEAD_LETTER_ORIGIN)?.value;
  if (origin === undefined || origin === null) return;
  const text = Buffer.from(origin).toString('utf8');
  const slash = text.lastIndexOf('/');
  written.get(text.slice(0, slash))?.add(Number(text.slice(slash + 1)));
}
