import { expect, it } from 'vitest';
import { WaitingLine } from '../../src/core/waiting-line.ts';

it('a waiting line keeps its order, and lets go of those that are gone', () => {
  const line = new WaitingLine();
  const called: number[] = [];
  const here = new Set<number>();
  for (let number = 0; number < 10_000; number++) {
    if (number % 100 === 0) here.add(number);
    line.push(
      () => called.push(number),
      () => !here.has(number),
    );
    expect(line.length).toBeLessThanOrEqual(Math.max(64, 2 * here.size));
  }
  while (line.length > 0) line.shift()?.();
  expect(called.filter((number) => here.has(number))).toEqual([...here]);
  expect(line.shift()).toBeUndefined();
});

it('who is moved to the front of a waiting line is next', () => {
  const line = new WaitingLine();
  const called: string[] = [];
  const callbacks = ['a', 'b', 'c'].map((name) => () => called.push(name));
  for (const callback of callbacks) line.push(callback);
  line.moveToFront(callbacks[2]!);
  while (line.length > 0) line.shift()?.();
  expect(called).toEqual(['c', 'a', 'b']);
});
