import type { IngressLimits } from '../limits.ts';
import { sizeOf, type LocalMessage } from './local-message.ts';
import type { IngressStats } from '../stats.ts';
import { filterMatches } from './topic-filter.ts';

/** The retained message of each topic (MQTT 3.1.1 section 3.3.1.3), bounded in number and bytes. */
export class RetainedMessages {
  readonly #limits: Pick<IngressLimits, 'maxRetainedMessages' | 'maxRetainedBytes'>;
  readonly #stats: IngressStats;
  readonly #messages = new Map<string, LocalMessage>();
  #bytes = 0;

  constructor(limits: Pick<IngressLimits, 'maxRetainedMessages' | 'maxRetainedBytes'>, stats: IngressStats) {
    this.#limits = limits;
    this.#stats = stats;
  }

  /**
   * Keeps a message; an empty payload deletes the topic's ([MQTT-3.3.1-10], [MQTT-3.3.1-11]). Returns whether the
   * topic's message is another one now.
   */
  put(message: LocalMessage): boolean {
    const previous = this.#messages.get(message.topic);
    if (previous !== undefined) {
      this.#messages.delete(message.topic);
      this.#bytes -= sizeOf(previous);
    }
    let kept = false;
    if (message.payload.length > 0) {
      const { maxRetainedMessages, maxRetainedBytes } = this.#limits;
      const bytes = this.#bytes + sizeOf(message);
      if (this.#messages.size >= maxRetainedMessages || bytes > maxRetainedBytes) {
        this.#stats.retainedRejected++;
      } else {
        this.#messages.set(message.topic, { ...message });
        this.#bytes = bytes;
        kept = true;
      }
    }
    this.#stats.retainedMessages = this.#messages.size;
    this.#stats.retainedBytes = this.#bytes;
    return kept || previous !== undefined;
  }

  get(topic: string): LocalMessage | undefined {
    return this.#messages.get(topic);
  }

  values(): Iterable<LocalMessage> {
    return this.#messages.values();
  }

  /** The messages that match one of the filters; of several, each filter has its own ([MQTT-3.8.4-4]). */
  matching(filters: readonly string[]): LocalMessage[] {
    return filters.flatMap((filter) => {
      if (!filter.includes('+') && !filter.includes('#')) return this.#messages.get(filter) ?? [];
      return [...this.#messages.values()].filter(({ topic }) => filterMatches(filter, topic));
    });
  }
}
