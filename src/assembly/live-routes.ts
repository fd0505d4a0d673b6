import type { FullPolicy } from '../core/full-policy.ts';
import { deadLetterTopicFor } from '../core/output.ts';
import type { Route } from '../core/route.ts';
import type { Topic } from '../core/topic.ts';
import { RouteCache } from '../route/route-cache.ts';
import type { RouteSet } from './route-set.ts';

/** The routes in use: resolved once for each topic, and exchanged as a whole. */
export class LiveRoutes {
  #set: RouteSet;
  /** Also of types that are gone: their records may still be on the way. */
  readonly #deadLetterTopics = new Map<string, string>();
  readonly #fullPolicies = new Map<string, FullPolicy | undefined>();
  readonly #byTopic = new RouteCache<readonly Route[]>((topic) =>
    this.#set.routes.match(topic.name).map(({ target, captures }) => target.bind(captures, topic.name)),
  );

  constructor(set: RouteSet) {
    this.#set = set;
    this.#noteTypes();
  }

  get set(): RouteSet {
    return this.#set;
  }

  /** From now on every publication takes its route from `set`; those that were routed already are not touched. */
  exchange(set: RouteSet): void {
    this.#set = set;
    this.#byTopic.clear();
    this.#noteTypes();
  }

  resolve(topic: Topic): readonly Route[] {
    return this.#byTopic.resolve(topic);
  }

  deadLetterTopic(type: string): string | undefined {
    return this.#deadLetterTopics.get(type);
  }

  /** What happens to its records when the journal is full; undefined: as for all. */
  fullPolicy(type: string): FullPolicy | undefined {
    return this.#fullPolicies.get(type);
  }

  #noteTypes(): void {
    for (const { type, produce, whenFull } of this.#set.profiles) {
      this.#fullPolicies.set(type, whenFull);
      this.#deadLetterTopics.set(type, deadLetterTopicFor(produce, type));
    }
  }
}
