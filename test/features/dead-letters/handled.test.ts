import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HandledLetters, type LetterLog } from '../../../src/features/dead-letters/handled.ts';
import { FakeKafka, STATE } from './fake-kafka.ts';

const log: LetterLog = { topic: 'telemetry.dlq', topicId: 'id-1', partition: 2 };

const actions = fc.array(
  fc.record({
    offset: fc.nat(3_000),
    what: fc.constantFrom('replayed', 'dropped', 'failed', 'written'),
  }),
  { maxLength: 200 },
);

async function open(kafka = new FakeKafka()): Promise<HandledLetters> {
  return HandledLetters.load(kafka, STATE, kafka.send);
}

/** The records of the state's topic, as text. */
function stateOf(kafka: FakeKafka): [key: string, value: string | undefined][] {
  return (kafka.topics.get(STATE) ?? []).map(({ key, value }) => [String(key), value?.toString()]);
}

describe('what has become of dead letters', () => {
  it('is the same after it was written and read again, whatever was done', async () => {
    await fc.assert(
      fc.asyncProperty(actions, fc.nat(200), async (list, splitAt) => {
        const kafka = new FakeKafka();
        const handled = await open(kafka);
        const model = new Map<number, string>();
        const failures = new Map<number, number>();
        const written = new Set<number>();
        for (const [index, { offset, what }] of list.entries()) {
          if (model.has(offset)) continue;
          if (what === 'replayed') handled.markReplayed(log, offset);
          else if (what === 'dropped') handled.markDropped(log, offset, 'not wanted', 17);
          else if (what === 'failed') handled.markFailed(log, offset);
          else handled.markWritten(log, offset, [1]);
          if (what === 'failed') failures.set(offset, (failures.get(offset) ?? 0) + 1);
          else if (what === 'written') written.add(offset);
          else model.set(offset, what);
          if (index === splitAt) await handled.finish();
        }
        await handled.finish();
        const records = stateOf(kafka).length;
        await handled.finish();
        expect(stateOf(kafka)).toHaveLength(records);

        for (const letters of [handled, await open(kafka)]) {
          for (const { offset } of list) {
            const { state, dropped, ...rest } = letters.of(log, offset);
            expect(state).toBe(model.get(offset) ?? 'open');
            if (state === 'open') {
              const parts = written.has(offset) ? [1] : [];
              expect(rest).toEqual({ failures: failures.get(offset) ?? 0, written: parts });
            }
            expect(dropped).toEqual(state === 'dropped' ? { reason: 'not wanted', atMs: 17 } : undefined);
          }
          let first = 0;
          while (model.has(first)) first++;
          expect(letters.firstOpen(log, 0)).toBe(first);
        }
      }),
    );
  });

  it('is read from the records of state that version 0.1.0 wrote', async () => {
    const kafka = new FakeKafka();
    const record = (key: string, document: object | null) =>
      kafka.send({
        topic: STATE,
        key: Buffer.from(key),
        value: document && Buffer.from(JSON.stringify(document)),
      });
    await record('handled/telemetry.dlq/id-1/2/1', { replayed: '0' });
    await record('handled/telemetry.dlq/id-1/2/1', {
      replayed: '0-4,7',
      dropped: [{ offsets: '5', reason: 'seen', atMs: 17 }],
      failed: { 9: 2 },
      written: { 9: '0-1,3' },
    });
    await record('attempt', { letters: [], ends: { telemetry: [4] } });
    const handled = await open(kafka);
    expect([0, 4, 5, 6, 7].map((offset) => handled.of(log, 1_000 + offset).state)).toEqual([
      'replayed',
      'replayed',
      'dropped',
      'open',
      'replayed',
    ]);
    expect(handled.of(log, 1_009)).toEqual({ state: 'open', failures: 2, written: [0, 1, 3] });
    expect(handled.attempt).toEqual({ letters: [], ends: { telemetry: [4] } });
    await record('attempt', null);
    expect((await open(kafka)).attempt).toBeUndefined();
  });

  it('has its first open letter behind whole blocks that are done, one way or the other', async () => {
    const handled = await open();
    for (let offset = 0; offset < 2_500; offset++) {
      if (offset % 3 === 0) handled.markDropped(log, offset, 'x', 1);
      else handled.markReplayed(log, offset);
    }
    expect(handled.firstOpen(log, 0)).toBe(2_500);
    expect(handled.firstOpen(log, 999)).toBe(2_500);
    expect(handled.firstOpen(log, 2_600)).toBe(2_600);
  });

  it('is forgotten for what Kafka has deleted', async () => {
    const kafka = new FakeKafka();
    const handled = await open(kafka);
    for (const offset of [5, 1_005, 2_005]) handled.markReplayed(log, offset);
    await handled.finish();
    handled.forget(log, 2_000);
    await handled.finish();
    expect(stateOf(kafka).map(([, value]) => value)).toEqual([
      '{"replayed":"5"}',
      '{"replayed":"5"}',
      '{"replayed":"5"}',
      undefined,
      undefined,
    ]);
    expect(handled.of(log, 2_005).state).toBe('replayed');
    expect(handled.of(log, 5).state).toBe('open');
  });

  it('is of no meaning for a topic of the same name that was made later', async () => {
    const handled = await open();
    handled.markReplayed(log, 0);
    expect(handled.of({ ...log, topicId: 'id-2' }, 0).state).toBe('open');
  });
});
