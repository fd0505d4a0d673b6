import type { TopicAdmission } from '../core/route.ts';

/** Topics that a profile may name when nothing else is said. */
const DEFAULT_MAX = 100;

/**
 * Kafka topics that messages name, by way of a profile's topic template: a bounded number for each profile. The
 * gateway sees to it that those admitted exist.
 */
export class NamedTopics {
  readonly #topics = new Set<string>();
  /** By profile, that is by the name that its admission was asked for with. */
  readonly #admitted = new Map<string, Set<string>>();
  #onNamed: (topic: string) => void = () => {};

  /** All that were named. */
  get topics(): readonly string[] {
    return [...this.#topics];
  }

  /** What one profile may do; what was admitted under its name before counts. */
  admission(name: string, max = DEFAULT_MAX): TopicAdmission {
    const own = this.#admitted.get(name) ?? new Set<string>();
    this.#admitted.set(name, own);
    return {
      admit: (topic) => {
        if (own.has(topic)) return true;
        if (own.size >= max) return false;
        own.add(topic);
        if (!this.#topics.has(topic)) {
          this.#topics.add(topic);
          this.#onNamed(topic);
        }
        return true;
      },
    };
  }

  /** Forgets the topics of all profiles but these. */
  retain(names: readonly string[]): void {
    for (const name of this.#admitted.keys()) if (!names.includes(name)) this.#admitted.delete(name);
    this.#topics.clear();
    for (const own of this.#admitted.values()) for (const topic of own) this.#topics.add(topic);
  }

  /** Whom to tell of every topic that is named for the first time. */
  connect(onNamed: (topic: string) => void): void {
    this.#onNamed = onNamed;
    for (const topic of this.#topics) onNamed(topic);
  }
}
