import { isUtf8 } from 'node:buffer';
import type { Topic } from '../../core/publication.ts';

/**
 * Levels that a topic name may have. aedes refuses filters with more, so a deeper name could not be subscribed
 * to; and what walks a name level by level is safe from one that consists of slashes.
 */
export const MAX_TOPIC_LEVELS = 100;

/**
 * Bytes that a topic name may have. The standard's 65,535, times the topics that are interned, would be gigabytes that
 * one device can fill.
 */
export const MAX_TOPIC_BYTES = 1_024;

/** What is wrong with what {@link isTopicName} refuses. */
export const NO_TOPIC_NAME = `an invalid topic name, or one of more than ${MAX_TOPIC_BYTES} bytes or ${MAX_TOPIC_LEVELS} levels`;

/** A {@link Topic} with what the ingress knows about it. */
export class InternedTopic implements Topic {
  readonly name: string;
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly hash: number;
  /** Begins with `$`: clients can't write it (MQTT 3.1.1 section 4.7.2). */
  readonly reserved: boolean;
  /** Which state of the subscriptions {@link hasSubscribers} was found in. */
  subscribersAsOf = -1;
  hasSubscribers = false;
  /** Another topic has taken its id. */
  evicted = false;
  usedLately = true;
  next: InternedTopic | undefined = undefined;

  constructor(id: number, hash: number, bytes: Buffer) {
    this.id = id;
    this.hash = hash;
    this.bytes = Uint8Array.from(bytes);
    this.name = bytes.toString('utf8');
    this.reserved = bytes[0] === DOLLAR;
  }

  equals(buffer: Uint8Array, start: number, end: number): boolean {
    const bytes = this.bytes;
    const length = bytes.length;
    if (length !== end - start) return false;
    // From the end: the topics of one fleet differ in their last levels.
    for (let index = length - 1; index >= 0; index--) {
      if (bytes[index] !== buffer[start + index]) return false;
    }
    return true;
  }
}

const SLASH = 0x2f;
const PLUS = 0x2b;
const HASH = 0x23;
const DOLLAR = 0x24;

/**
 * Whether the bytes are a topic name: valid UTF-8 without surrogates ([MQTT-1.5.3-1]) and NUL
 * ([MQTT-1.5.3-2]), without wildcards ([MQTT-3.3.2-2]), at least one character ([MQTT-4.7.3-1]), at most
 * {@link MAX_TOPIC_LEVELS} levels and {@link MAX_TOPIC_BYTES} bytes.
 */
export function isTopicName(bytes: Uint8Array): boolean {
  if (bytes.length === 0 || bytes.length > MAX_TOPIC_BYTES || !isUtf8(bytes)) return false;
  let levels = 1;
  for (const byte of bytes) {
    if (byte === 0 || byte === PLUS || byte === HASH) return false;
    if (byte === SLASH) levels++;
  }
  return levels <= MAX_TOPIC_LEVELS;
}

/** Longer chains mean crafted collisions: then the chain's oldest topic gives way. */
const LONGEST_CHAIN = 16;

/**
 * Interns topic names by their bytes: on a hit no string is built and nothing is validated again. Holds at
 * most `capacity` topics; one that was not used lately gives its place and its id to a new one.
 */
export class TopicTable {
  readonly #capacity: number;
  readonly #buckets: (InternedTopic | undefined)[];
  readonly #mask: number;
  readonly #seed: number;
  readonly #topics: InternedTopic[] = [];
  #hand = 0;

  /** `seed` keeps hash values unpredictable to clients. */
  constructor(capacity: number, seed: number) {
    this.#capacity = capacity;
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(16, capacity)));
    this.#buckets = new Array<InternedTopic | undefined>(buckets).fill(undefined);
    this.#mask = buckets - 1;
    this.#seed = seed | 0;
  }

  get size(): number {
    return this.#topics.length;
  }

  /** The topic of buffer[start, end), or undefined if the bytes are no topic name. */
  intern(buffer: Buffer, start: number, end: number): InternedTopic | undefined {
    // FNV-1a: 30 bytes take 20 ns.
    let hash = this.#seed;
    for (let index = start; index < end; index++) {
      hash = Math.imul(hash ^ (buffer[index] as number), 0x01000193);
    }
    hash ^= hash >>> 15;
    let topic = this.#buckets[hash & this.#mask];
    while (topic !== undefined) {
      if (topic.hash === hash && topic.equals(buffer, start, end)) {
        topic.usedLately = true;
        return topic;
      }
      topic = topic.next;
    }
    return this.#add(hash, buffer.subarray(start, end));
  }

  #add(hash: number, bytes: Buffer): InternedTopic | undefined {
    if (!isTopicName(bytes)) return undefined;
    let length = 0;
    let last: InternedTopic | undefined;
    for (let topic = this.#buckets[hash & this.#mask]; topic !== undefined; topic = topic.next) {
      last = topic;
      length++;
    }
    let id = this.#topics.length;
    if (last !== undefined && length >= LONGEST_CHAIN) id = this.#evict(last);
    else if (id >= this.#capacity) id = this.#evict(this.#leastUsed());

    const topic = new InternedTopic(id, hash, bytes);
    topic.next = this.#buckets[hash & this.#mask];
    this.#buckets[hash & this.#mask] = topic;
    this.#topics[id] = topic;
    return topic;
  }

  /** Second chance: the hand passes over topics used since its last round. */
  #leastUsed(): InternedTopic {
    for (;;) {
      const topic = this.#topics[this.#hand] as InternedTopic;
      this.#hand = (this.#hand + 1) % this.#topics.length;
      if (!topic.usedLately) return topic;
      topic.usedLately = false;
    }
  }

  #evict(topic: InternedTopic): number {
    topic.evicted = true;
    const bucket = topic.hash & this.#mask;
    let before: InternedTopic | undefined;
    for (let at = this.#buckets[bucket]; at !== topic && at !== undefined; at = at.next) before = at;
    if (before === undefined) this.#buckets[bucket] = topic.next;
    else before.next = topic.next;
    topic.next = undefined;
    return topic.id;
  }
}

/** Topics of one connection whose permission is remembered; most devices have one or two. */
const MAX_PERMITS = 256;

/**
 * In front of the table, for one connection: most devices write the same topic again and again. Remembers also what
 * the connection may do with its topics.
 */
export class LatestTopic {
  readonly #topics: TopicTable;
  #latest: InternedTopic | undefined;
  #permits: Map<InternedTopic, boolean> | undefined;
  #permitsAsOf = 0;

  constructor(topics: TopicTable) {
    this.#topics = topics;
  }

  /** See {@link TopicTable.intern}. */
  intern(buffer: Buffer, start: number, end: number): InternedTopic | undefined {
    const latest = this.#latest;
    if (latest?.equals(buffer, start, end) === true && !latest.evicted) return latest;
    const topic = this.#topics.intern(buffer, start, end);
    if (topic !== undefined) this.#latest = topic;
    return topic;
  }

  /** Whether the topic is allowed: `decide` is asked once for each topic, and again when the epoch is another one. */
  permits(topic: InternedTopic, epoch: number, decide: (name: string) => boolean): boolean {
    if (this.#permits === undefined || this.#permitsAsOf !== epoch || this.#permits.size >= MAX_PERMITS) {
      this.#permits = new Map();
      this.#permitsAsOf = epoch;
    }
    let allowed = this.#permits.get(topic);
    if (allowed === undefined) this.#permits.set(topic, (allowed = decide(topic.name)));
    return allowed;
  }
}
