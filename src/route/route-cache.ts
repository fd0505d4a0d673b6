import type { Topic } from '../core/publication.ts';

/**
 * What each topic leads to, found once for every distinct topic. The key is the topic's dense id. It is compared
 * by identity, because an id may later belong to another topic. So a look-up is two array reads and hashes no
 * string. It also remembers that a topic leads nowhere. It holds at most one entry for each id, and the ingress's
 * table of topics bounds the ids.
 */
export class RouteCache<R> {
  readonly #find: (topic: Topic) => R;
  #topics: (Topic | undefined)[] = [];
  #results: (R | undefined)[] = [];

  /** `find` is called on a miss; it must not throw. */
  constructor(find: (topic: Topic) => R) {
    this.#find = find;
  }

  resolve(topic: Topic): R {
    if (this.#topics[topic.id] === topic) return this.#results[topic.id] as R;
    return this.#miss(topic);
  }

  /** Forgets everything, for when the routes have changed. */
  clear(): void {
    this.#topics = [];
    this.#results = [];
  }

  #miss(topic: Topic): R {
    const result = this.#find(topic);
    // Ids are dense but may come out of order: fill the gap, because a sparse array would become a dictionary.
    while (this.#topics.length < topic.id) {
      this.#topics.push(undefined);
      this.#results.push(undefined);
    }
    this.#topics[topic.id] = topic;
    this.#results[topic.id] = result;
    return result;
  }
}
