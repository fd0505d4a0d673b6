import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';

/**
 * Asks one candidate after the other, the next one as soon as one fails, or has kept us waiting for `patienceMs`;
 * the first answer counts. So a broker that hangs costs a moment, and not its whole request timeout.
 *
 * @throws the last failure, when all have failed
 */
export function firstAnswer<C, A>(
  candidates: readonly C[],
  ask: (candidate: C) => Promise<A>,
  patienceMs: number,
  clock: Clock,
): Promise<A> {
  return new Promise((resolve, reject) => {
    let asked = 0;
    let failed = 0;
    let done = false;
    let cancel: Cancel = () => {};
    const askNext = (): void => {
      cancel();
      const candidate = candidates[asked];
      if (done || candidate === undefined) return;
      asked++;
      if (asked < candidates.length) cancel = clock.schedule(askNext, patienceMs);
      ask(candidate).then(
        (answer) => {
          done = true;
          cancel();
          resolve(answer);
        },
        (error: unknown) => {
          failed++;
          if (failed === candidates.length)
            reject(error instanceof Error ? error : new Error(errorMessage(error)));
          else askNext();
        },
      );
    };
    askNext();
  });
}
