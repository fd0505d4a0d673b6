import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits for a condition that only looking can tell: true as soon as it holds, an error naming `what` after
 * `timeoutMs`. Whatever the condition throws ends the wait at once.
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 20_000, everyMs = 50, what = 'a condition' }: UntilOptions = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await delay(everyMs);
  }
}

export interface UntilOptions {
  readonly timeoutMs?: number;
  readonly everyMs?: number;
  /** Completes the sentence "waited for ...". */
  readonly what?: string;
}
