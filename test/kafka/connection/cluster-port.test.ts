import { describe, expect, it } from 'vitest';
import { firstAnswer } from '../../../src/kafka/connection/cluster-port.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';

const PATIENCE_MS = 1_000;

/** Candidates that answer, fail or hang, and the order in which they were asked. */
function ask(behaviours: Readonly<Record<string, 'answers' | 'fails' | 'hangs'>>) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const answer = firstAnswer(
    Object.keys(behaviours),
    (name) => {
      asked.push(name);
      if (behaviours[name] === 'hangs') return new Promise<string>(() => {});
      return behaviours[name] === 'fails' ? Promise.reject(new Error(name)) : Promise.resolve(name);
    },
    PATIENCE_MS,
    clock,
  );
  return { clock, asked, answer };
}

describe('the first answer', () => {
  it('is that of the first candidate, and no other is asked', async () => {
    const { asked, answer, clock } = ask({ a: 'answers', b: 'answers' });
    expect(await answer).toBe('a');
    clock.advance(10 * PATIENCE_MS);
    expect(asked).toEqual(['a']);
  });

  it('is that of the next one when one fails', async () => {
    const { asked, answer } = ask({ a: 'fails', b: 'fails', c: 'answers' });
    expect(await answer).toBe('c');
    expect(asked).toEqual(['a', 'b', 'c']);
  });

  it('is not kept waiting by a candidate that hangs', async () => {
    const { asked, answer, clock } = ask({ a: 'hangs', b: 'hangs', c: 'answers' });
    clock.advance(PATIENCE_MS);
    expect(asked).toEqual(['a', 'b']);
    clock.advance(PATIENCE_MS);
    expect(await answer).toBe('c');
  });

  it('is an error when all have failed, not before', async () => {
    const { answer } = ask({ a: 'fails', b: 'fails' });
    await expect(answer).rejects.toThrow('b');
  });
});
