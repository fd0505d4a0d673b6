import { expect, it } from 'vitest';
import { within } from '../../src/core/clock.ts';
import { TestClock } from '../mqtt/harness.ts';

it('ends with the work, whatever became of it', async () => {
  const clock = new TestClock();
  await within(clock, 1_000, Promise.resolve());
  await expect(within(clock, 1_000, Promise.reject(new Error('no')))).resolves.toBeUndefined();
});

it('ends when the time is up, and a failure after that is no unhandled rejection', async () => {
  const clock = new TestClock();
  const { promise: work, reject } = Promise.withResolvers<undefined>();
  const ended = within(clock, 1_000, work);
  clock.advance(1_000);
  await ended;
  reject(new Error('too late'));
});
