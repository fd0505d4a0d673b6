import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Metric } from '../core/metric.ts';

/** What happens to a publication whose topic no profile matches. */
export type UnroutedPolicy = 'local' | 'dead-letter' | 'refuse';

/** Topics that are counted one by one; what comes after is counted together. */
const TOPICS_KEPT = 100;
const LOG_WINDOW_MS = 60_000;
const OTHER = '(other)';

/** Counts publications without a route and names their topics, once a window in the log. */
export class UnroutedTopics {
  readonly #counts = new Map<string, number>();
  readonly #policy: UnroutedPolicy;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #windowStart = Number.NEGATIVE_INFINITY;
  readonly #loggedInWindow = new Set<string>();

  constructor(policy: UnroutedPolicy, clock: Clock, logger: Logger) {
    this.#policy = policy;
    this.#clock = clock;
    this.#logger = logger;
  }

  count(topicName: string): void {
    const name = this.#counts.has(topicName) || this.#counts.size < TOPICS_KEPT ? topicName : OTHER;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    this.#logOnce(name);
  }

  #logOnce(name: string): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#windowStart >= LOG_WINDOW_MS) {
      this.#windowStart = now;
      this.#loggedInWindow.clear();
    }
    if (this.#loggedInWindow.has(name)) return;
    this.#loggedInWindow.add(name);
    this.#logger.warn({ topic: name, unrouted: this.#policy }, 'no profile matches this topic');
  }

  metrics(): Metric[] {
    return [
      {
        name: 'sluice_unrouted_publications_total',
        help: `Publications whose topic no profile matches; topics beyond the first ${TOPICS_KEPT} together as ${OTHER}.`,
        kind: 'counter',
        labelNames: ['topic'],
        read: () => [...this.#counts].map(([topic, value]) => ({ labels: { topic }, value })),
      },
    ];
  }
}
