import type { FullPolicy } from '../core/profile/profile.ts';
import { deadLetterTopicFor } from '../core/profile/output-spec.ts';
import type { Route } from '../core/route.ts';
import type { Topic } from '../core/publication.ts';
import { RouteCache } from '../route/route-cache.ts';
import type { RouteSet } from './route-set.ts';

/** What is asked of a type by its name. */
interface LiveType {
  readonly deadLetterTopic: string;
  readonly pattern: string;
  readonly whenFull: FullPolicy | undefined;
}

/** The routes in use: resolved once for each topic, and exchanged as a whole. */
export class LiveRoutes {
  #set: RouteSet;
  /** Also of types that are gone: their records may still be on the way. */
  readonly #types = new Map<string, LiveType>();
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
    return this.#types.get(type)?.deadLetterTopic;
  }

  /** What happens to its records when the journal is full; undefined: as for all. */
  fullPolicy(type: string): FullPolicy | undefined {
    return this.#types.get(type)?.whenFull;
  }

  /** The topic pattern of a type. */
  pattern(type: string): string | undefined {
    return this.#types.get(type)?.pattern;
  }

  #noteTypes(): void {
    for (const { type, topic, produce, whenFull } of this.#set.profiles) {
      this.#types.set(type, { deadLetterTopic: deadLetterTopicFor(produce, type), pattern: topic, whenFull });
    }
  }
}
