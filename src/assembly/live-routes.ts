import type { DeviceProfile, FullPolicy } from '../core/profile/profile.ts';
import { deadLetterTopicFor } from '../core/profile/output-spec.ts';
import type { Topic } from '../core/publication.ts';
import type { DeviceTypes } from '../delivery/dead-letter.ts';
import { withAccount, type DeliveryRoute, type Ledger } from '../delivery/ledger/ledger.ts';
import { RouteCache } from '../route/route-cache.ts';
import type { RouteSet } from './route-set.ts';

/** The facts about a type that are asked for by its name. */
type LiveType = Pick<DeviceProfile, 'produce' | 'topic' | 'whenFull'>;

/** The routes in use: resolved once for each topic, and exchanged as a whole. */
export class LiveRoutes implements DeviceTypes {
  #set: RouteSet;
  /** Types that are gone stay here too: their records may still be on the way. */
  readonly #types = new Map<string, LiveType>();
  readonly #byTopic: RouteCache<readonly DeliveryRoute[]>;

  constructor(set: RouteSet, ledger: Ledger) {
    this.#set = set;
    this.#byTopic = new RouteCache(({ name }) =>
      this.#set.routes
        .match(name)
        .map(({ target, captures }) => withAccount(target.bind(captures, name), ledger)),
    );
    this.#noteTypes();
  }

  get set(): RouteSet {
    return this.#set;
  }

  /**
   * From now on every publication takes its route from `set`. Publications that were routed already are not
   * touched.
   */
  exchange(set: RouteSet): void {
    this.#set = set;
    this.#byTopic.clear();
    this.#noteTypes();
  }

  resolve(topic: Topic): readonly DeliveryRoute[] {
    return this.#byTopic.resolve(topic);
  }

  deadLetterTopic(type: string): string | undefined {
    const known = this.#types.get(type);
    return known && deadLetterTopicFor(known.produce, type);
  }

  /** What happens to its records when the journal is full; undefined: the default for all. */
  fullPolicy(type: string): FullPolicy | undefined {
    return this.#types.get(type)?.whenFull;
  }

  /** The topic pattern of a type. */
  pattern(type: string): string | undefined {
    return this.#types.get(type)?.topic;
  }

  #noteTypes(): void {
    for (const profile of this.#set.profiles) this.#types.set(profile.type, profile);
  }
}
