import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HandledLetters, type LetterLog } from '../../../src/features/dead-letters/handled.ts';

const log: LetterLog = { topic: 'telemetry.dlq', topicId: 'id-1', partition: 2 };

const actions = fc.array(
  fc.record({
    offset: fc.nat(3_000),
    what: fc.constantFrom('replayed', 'dropped', 'failed', 'written'),
  }),
  { maxLength: 200 },
);

describe('what has become of dead letters', () => {
  it('is the same after it was written and read again, whatever was done', () => {
    fc.assert(
      fc.property(actions, fc.nat(200), (list, splitAt) => {
        const handled = new HandledLetters();
        const topic = new Map<string, string | null>();
        const model = new Map<number, string>();
        const failures = new Map<number, number>();
        list.forEach(({ offset, what }, index) => {
          if (model.has(offset)) return;
          if (what === 'replayed') handled.markReplayed(log, offset);
          else if (what === 'dropped') handled.markDropped(log, offset, 'not wanted', 17);
          else if (what === 'failed') handled.markFailed(log, offset);
          else handled.markWritten(log, offset, 1);
          if (what === 'failed') failures.set(offset, (failures.get(offset) ?? 0) + 1);
          else if (what !== 'written') model.set(offset, what);
          if (index === splitAt) for (const { key, value } of handled.changes()) topic.set(key, value);
        });
        for (const { key, value } of handled.changes()) topic.set(key, value);
        expect(handled.changes()).toEqual([]);

        const read = new HandledLetters();
        for (const [key, value] of topic) expect(read.apply({ key, value })).toBe(true);
        for (const letters of [handled, read]) {
          for (const { offset } of list) {
            expect(letters.state(log, offset)).toBe(model.get(offset) ?? 'open');
            if (!model.has(offset)) expect(letters.failures(log, offset)).toBe(failures.get(offset) ?? 0);
            expect(letters.dropReason(log, offset)).toBe(
              model.get(offset) === 'dropped' ? 'not wanted' : undefined,
            );
          }
          let open = 0;
          while (model.has(open)) open++;
          expect(letters.firstOpen(log, 0)).toBe(open);
        }
      }),
    );
  });

  it('has its first open letter behind whole blocks that are done, one way or the other', () => {
    const handled = new HandledLetters();
    for (let offset = 0; offset < 2_500; offset++) {
      if (offset % 3 === 0) handled.markDropped(log, offset, 'x', 1);
      else handled.markReplayed(log, offset);
    }
    expect(handled.firstOpen(log, 0)).toBe(2_500);
    expect(handled.firstOpen(log, 999)).toBe(2_500);
    expect(handled.firstOpen(log, 2_600)).toBe(2_600);
  });

  it('is forgotten for what Kafka has deleted', () => {
    const handled = new HandledLetters();
    for (const offset of [5, 1_005, 2_005]) handled.markReplayed(log, offset);
    handled.changes();
    handled.forget(log, 2_000);
    expect(handled.changes().map(({ value }) => value)).toEqual([null, null]);
    expect(handled.state(log, 2_005)).toBe('replayed');
    expect(handled.state(log, 5)).toBe('open');
  });

  it('is of no meaning for a topic of the same name that was made later', () => {
    const handled = new HandledLetters();
    handled.markReplayed(log, 0);
    expect(handled.state({ ...log, topicId: 'id-2' }, 0)).toBe('open');
  });
});
