import { describe, expect, it } from 'vitest';
import { Bottleneck } from '../../../src/producer/batches/bottleneck.ts';

/** Room for `room` records; callers take one each, or wait again. */
class Queue {
  room = 0;
  taken: string[] = [];
  calls = 0;
  readonly bottleneck = new Bottleneck('memory', () => this.taken.length);

  enter(name: string, wanted = 1): void {
    this.calls++;
    for (; wanted > 0 && this.room > 0; wanted--) {
      this.room--;
      this.taken.push(name);
    }
    if (wanted > 0) {
      this.bottleneck.wait(() => {
        this.enter(name, wanted);
      });
    }
  }
}

describe('a bottleneck', () => {
  it('a bottleneck calls those that wait in the order in which they came', () => {
    const queue = new Queue();
    for (const name of ['a', 'b', 'c']) queue.enter(name);
    queue.room = 3;
    queue.bottleneck.wake();
    expect(queue.taken).toEqual(['a', 'b', 'c']);
  });

  it('a bottleneck wakes no more than one caller in vain', () => {
    const queue = new Queue();
    for (let i = 0; i < 100; i++) queue.enter(String(i));
    queue.calls = 0;
    queue.room = 3;
    queue.bottleneck.wake();
    expect(queue.taken).toHaveLength(3);
    expect(queue.calls).toBe(4);
  });

  it('a bottleneck keeps the place of a caller that got nothing', () => {
    const queue = new Queue();
    for (const name of ['a', 'b', 'c']) queue.enter(name);
    queue.bottleneck.wake();
    queue.room = 1;
    queue.bottleneck.wake();
    expect(queue.taken).toEqual(['a']);
  });

  it('a bottleneck gives everyone a turn before a caller that got something has another', () => {
    const queue = new Queue();
    queue.enter('a', 5);
    queue.enter('b', 5);
    for (let round = 0; round < 4; round++) {
      queue.room = 2;
      queue.bottleneck.wake();
    }
    expect(queue.taken.join('')).toBe('aabbaabb');
  });

  it('a bottleneck calls each waiter once', () => {
    const bottleneck = new Bottleneck('memory', () => 0);
    let calls = 0;
    bottleneck.wait(() => calls++);
    bottleneck.wake();
    bottleneck.wake();
    expect(calls).toBe(1);
    expect(bottleneck.waiting).toBe(0);
  });
});
