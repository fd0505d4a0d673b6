import type { Logger } from '../core/logger.ts';

const MAX_NAMES = 1_000;

/** Says a thing once for each client in a window, and at the window's end how often it was not said. */
export class WindowedLog {
  readonly #logger: Logger;
  readonly #said = new Set<string>();
  #unsaid = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  warn(client: string, what: string, fields: object, message: string): void {
    const key = `${what}\n${client}`;
    if (this.#said.has(key) || this.#said.size >= MAX_NAMES) {
      this.#unsaid++;
      return;
    }
    this.#said.add(key);
    this.#logger.warn({ client, ...fields }, message);
  }

  /** A new window begins. */
  turn(): void {
    if (this.#unsaid > 0) {
      this.#logger.warn({ count: this.#unsaid }, 'more of the same from MQTT clients, not logged one by one');
    }
    this.#said.clear();
    this.#unsaid = 0;
  }
}
