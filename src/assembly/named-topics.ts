import type { TopicAdmission } from '../core/route-services.ts';

/** Topics that a profile may name when nothing else is said. */
const DEFAULT_MAX = 100;

/**
 * Kafka topics that messages name, by way of a profile's topic template: a bounded number for each profile. The
 * gateway sees to it that those admitted exist.
 */
export class NamedTopics {
  readonly #topics = new Set<string>();
  #onNamed: (topic: string) => void = () => {};

  /** What one profile may do. */
  admission(max = DEFAULT_MAX): TopicAdmission {
    const own = new Set<string>();
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

  /** Whom to tell of every topic that is named for the first time. */
  connect(onNamed: (topic: string) => void): void {
    this.#onNamed = onNamed;
    for (const topic of this.#topics) onNamed(topic);
  }
}
