import type { Clock } from './clock.ts';

/** Waits for `work`, but not longer than `limitMs`: then it goes on alone. Its failure counts as its end. */
export async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  const { promise: timeUp, resolve } = Promise.withResolvers<undefined>();
  const cancel = clock.schedule(() => {
    resolve(undefined);
  }, limitMs);
  await Promise.race([work.catch(() => undefined), timeUp]);
  cancel();
}
