import { DEAD_LETTER_ORIGIN } from '../../core/dead-letter.ts';
import { SluiceError } from '../../core/errors.ts';
import { decodeHeaders, type SerializedRecord } from '../../core/record.ts';
import type { DecodeFault } from '../../core/route.ts';
import { placeText, type Place } from './dead-letter.ts';
import type { LetterStateStore } from './letter-state.ts';
import type { FoundLetter, LetterSource } from './letters.ts';
import type { LetterPart, Transcriber } from './transcriber.ts';

/** What a replay needs of a producer, which must write each record once, in order. */
export interface ReplaySink {
  tryAppend(record: SerializedRecord, target: ReplayTarget, token: number): Refusal | undefined;
}

type Refusal = { wait(callback: () => void): void } | (SluiceError & { readonly isRecordFault?: boolean });

interface ReplayTarget {
  recordCompleted(token: number, result: ReplayResult, index: number): void;
}

interface ReplayResult {
  readonly error: (SluiceError & { readonly isRecordFault?: boolean }) | undefined;
  readonly topic: string;
  readonly partition: number;
  readonly baseOffset: bigint;
}

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

export interface ReplayOptions {
  readonly source: LetterSource;
  readonly store: LetterStateStore;
  readonly transcriber: Transcriber;
  readonly sink: ReplaySink;
  /** Resolves when the Kafka topic is there. */
  readonly ensureTopic: (topic: string) => Promise<void>;
  /** Throws when somebody else may be replaying: asked before anything is written. */
  readonly assertAlone: () => void;
  readonly onOutcome: (letter: FoundLetter, outcome: ReplayOutcome) => void;
  readonly dryRun: boolean;
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
    const { store, source, assertAlone } = this.#options;
    const { attempt, handled } = store;
    if (attempt === undefined) return 0;
    const wanted = new Set(attempt.letters.map(placeText));
    const written = new Map<string, Set<number>>();
    for (const [topic, ends] of Object.entries(attempt.ends)) {
      const described = await source.describe(topic);
      for (const [partition, { end }] of (described?.partitions ?? []).entries()) {
        for await (const records of source.read({ topic, partition, from: ends[partition] ?? 0, to: end })) {
          for (const { headers } of records) noteOrigin(headers, wanted, written);
        }
      }
    }
    let replayed = 0;
    for (const { parts, offset, isPartial, ...log } of attempt.letters) {
      const letterLog = { ...log, topicId: log.topicId };
      const found = written.get(placeText({ ...log, offset })) ?? new Set();
      if (handled.state(letterLog, offset) !== 'open') continue;
      if (isPartial !== true && parts.every((part) => found.has(part))) {
        handled.markReplayed(letterLog, offset);
        replayed++;
      } else for (const part of found) handled.markWritten(letterLog, offset, part);
    }
    assertAlone();
    await store.finish();
    return replayed;
  }

  /** Replays one letter; it may wait for others, until {@link flush}. */
  async add(found: FoundLetter): Promise<void> {
    const { transcriber, store, onOutcome, chunkLetters = CHUNK_LETTERS } = this.#options;
    let transcript = transcriber.transcribe(found.letter);
    while ('whenReady' in transcript) {
      await transcript.whenReady;
      transcript = transcriber.transcribe(found.letter);
    }
    if ('fault' in transcript) {
      store.handled.markFailed(found.log, found.letter.offset);
      onOutcome(found, { kind: 'failed', fault: transcript.fault });
      return;
    }
    const done = store.handled.written(found.log, found.letter.offset);
    const parts = transcript.parts.filter(({ part }) => done?.has(part) !== true);
    if (parts.length === 0 && transcript.unread !== undefined) {
      store.handled.markFailed(found.log, found.letter.offset);
      onOutcome(found, { kind: 'failed', fault: transcript.unread });
      return;
    }
    if (parts.length === 0) {
      store.handled.markReplayed(found.log, found.letter.offset);
      onOutcome(
        found,
        transcript.parts.length === 0 ? { kind: 'filtered' } : { kind: 'replayed', records: [] },
      );
      return;
    }
    this.#chunk.push({ found, parts, unread: transcript.unread });
    for (const { record } of parts) this.#chunkBytes += (record.value?.length ?? 0) + record.headers.length;
    if (this.#chunk.length >= chunkLetters || this.#chunkBytes >= CHUNK_BYTES) await this.flush();
  }

  /**
   * Writes what was added, and remembers what became of all letters so far.
   * @throws SluiceError DLQ_REPLAY_INTERRUPTED when Kafka did not say what became of a record
   */
  async flush(): Promise<void> {
    const chunk = this.#chunk;
    this.#chunk = [];
    this.#chunkBytes = 0;
    if (this.#options.dryRun) {
      for (const { found, parts } of chunk) {
        const topics = [...new Set(parts.map(({ record }) => record.topic))];
        this.#options.onOutcome(found, { kind: 'would-replay', topics });
      }
      return;
    }
    const { store, assertAlone } = this.#options;
    assertAlone();
    if (chunk.length > 0) {
      await this.#begin(chunk);
      assertAlone();
      const results = await this.#write(chunk);
      for (const transcribed of chunk) this.#settle(transcribed, results);
    }
    await store.finish();
  }

  async #begin(chunk: readonly Transcribed[]): Promise<void> {
    const { store, source, ensureTopic } = this.#options;
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
    await store.begin({ letters, ends });
  }

  /** Writes all records of the chunk; by record, what became of it. */
  async #write(
    chunk: readonly Transcribed[],
  ): Promise<ReadonlyMap<LetterPart, ReplayResult & { index: number }>> {
    const parts = chunk.flatMap((transcribed) => transcribed.parts);
    const results = new Map<LetterPart, ReplayResult & { index: number }>();
    const { promise: allDone, resolve } = Promise.withResolvers<undefined>();
    const settle = (token: number, result: ReplayResult, index: number): void => {
      const { error, topic, partition, baseOffset } = result;
      results.set(parts[token] as LetterPart, { error, topic, partition, baseOffset, index });
      if (results.size === parts.length) resolve(undefined);
    };
    for (const [token, { record }] of parts.entries()) {
      let refusal = this.#options.sink.tryAppend(record, { recordCompleted: settle }, token);
      while (refusal !== undefined && !(refusal instanceof SluiceError)) {
        const bottleneck = refusal;
        await new Promise<void>((done) => {
          bottleneck.wait(done);
        });
        refusal = this.#options.sink.tryAppend(record, { recordCompleted: settle }, token);
      }
      if (refusal !== undefined) {
        settle(token, { error: refusal, topic: record.topic, partition: -1, baseOffset: -1n }, 0);
      }
    }
    await allDone;
    const unknown = [...results.values()].find(
      ({ error }) => error !== undefined && error.isRecordFault !== true,
    );
    if (unknown?.error !== undefined) {
      throw new SluiceError(
        'DLQ_REPLAY_INTERRUPTED',
        `Kafka did not say what became of records for ${unknown.topic} (${unknown.error.message}); ` +
          'run it again: what is in Kafka by then is found, and not written twice',
        { cause: unknown.error },
      );
    }
    return results;
  }

  #settle(
    { found, parts, unread }: Transcribed,
    results: ReadonlyMap<LetterPart, ReplayResult & { index: number }>,
  ): void {
    const {
      store: { handled },
      onOutcome,
    } = this.#options;
    const {
      log,
      letter: { offset },
    } = found;
    const failure =
      parts.map((part) => results.get(part)?.error).find((error) => error !== undefined) ?? unread;
    if (failure === undefined) {
      handled.markReplayed(log, offset);
      const records = parts.flatMap((part) => {
        const result = results.get(part);
        return result === undefined ? [] : [placeOf(result)];
      });
      onOutcome(found, { kind: 'replayed', records });
      return;
    }
    for (const part of parts) {
      if (results.get(part)?.error === undefined) handled.markWritten(log, offset, part.part);
    }
    handled.markFailed(log, offset);
    onOutcome(found, { kind: 'failed', fault: { code: failure.code, message: failure.message } });
  }
}

function placeOf({ topic, partition, baseOffset, index }: ReplayResult & { readonly index: number }): Place {
  return { topic, partition, offset: baseOffset < 0n ? -1 : Number(baseOffset) + index };
}

/** Notes which part of which wanted letter a record is, if it is one. */
function noteOrigin(
  headers: Uint8Array,
  wanted: ReadonlySet<string>,
  written: Map<string, Set<number>>,
): void {
  const origin = decodeHeaders(headers).findLast(({ key }) => key === DEAD_LETTER_ORIGIN)?.value;
  if (origin === undefined || origin === null) return;
  const text = Buffer.from(origin).toString('utf8');
  const slash = text.lastIndexOf('/');
  const place = text.slice(0, slash);
  if (!wanted.has(place)) return;
  const parts = written.get(place) ?? new Set();
  parts.add(Number(text.slice(slash + 1)));
  written.set(place, parts);
}
