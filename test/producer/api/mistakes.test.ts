import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { silentLogger } from '../../../src/core/logger.ts';
import { Mistakes } from '../../../src/producer/api/mistakes.ts';
import { settled } from '../scripted-port.ts';
import { ScriptedProducer } from '../scripted-producer.ts';

/** Mistakes whose log lines are kept, on a clock that the test moves. */
function watch(options: { lingerMs?: number } = {}) {
  const said: { code: string; times: number }[] = [];
  const now = { ms: 0 };
  const mistakes = new Mistakes({
    config: { lingerMs: options.lingerMs ?? 20, batchSizeBytes: 16_384 },
    clock: { ...systemClock, monotonicMs: () => now.ms },
    logger: { ...silentLogger, warn: (fields) => said.push(fields as { code: string; times: number }) },
  });
  return { mistakes, said, now };
}

/** Sends of `count` records that take `takesMs` each, one awaited before the next one is made. */
function sendOneByOne({ mistakes, now }: ReturnType<typeof watch>, count: number, pauseMs = 0): void {
  for (let i = 0; i < count; i++) {
    now.ms += pauseMs;
    mistakes.sendBegun(now.ms);
    now.ms += 25;
    mistakes.sendEnded(now.ms);
  }
}

describe('one send at a time, awaited under linger', () => {
  it('awaiting one send at a time under linger is noticed when it is a habit, and said with what to do', () => {
    const watched = watch();
    sendOneByOne(watched, 60);
    expect(watched.said).toMatchObject([{ code: 'SENDS_AWAITED_ONE_BY_ONE', lingerMs: 20 }]);
  });

  it('awaiting one send at a time is no mistake with linger.ms 0, after a pause, or when sends overlap', () => {
    const withoutLinger = watch({ lingerMs: 0 });
    sendOneByOne(withoutLinger, 200);
    const slow = watch();
    sendOneByOne(slow, 200, 1_000);
    const overlapping = watch();
    for (let i = 0; i < 200; i++) {
      overlapping.mistakes.sendBegun(i);
      overlapping.mistakes.sendBegun(i);
      overlapping.mistakes.sendEnded(i);
      overlapping.mistakes.sendEnded(i);
    }
    for (const { said } of [withoutLinger, slow, overlapping]) expect(said).toEqual([]);
  });
});

describe('too many small batches', () => {
  const send = ({ mistakes, now }: ReturnType<typeof watch>, records: number, everyMs: number) => {
    for (let i = 0; i <= 1_000; i++) mistakes.batchSent(records, (now.ms += everyMs));
  };

  it('too many small batches are noticed, with what was measured', () => {
    const watched = watch();
    send(watched, 1, 1);
    expect(watched.said).toMatchObject([{ code: 'BATCHES_TOO_SMALL', recordsPerBatch: 1 }]);
  });

  it('small batches are no mistake when there are few a second, or they hold more than a record or two', () => {
    const rare = watch();
    send(rare, 1, 20);
    const full = watch();
    send(full, 5, 1);
    expect([...rare.said, ...full.said]).toEqual([]);
  });
});

describe('a mistake that is made again and again', () => {
  it('a mistake that is made again and again is said once a minute, with how often it was made', () => {
    const watched = watch();
    for (let i = 0; i < 5; i++) watched.mistakes.notClosed(3);
    watched.now.ms += 60_000;
    watched.mistakes.notClosed(3);
    expect(watched.said.map(({ code, times }) => [code, times])).toEqual([
      ['PRODUCER_NOT_CLOSED', 1],
      ['PRODUCER_NOT_CLOSED', 5],
    ]);
    expect(watched.mistakes.counts.get('PRODUCER_NOT_CLOSED')).toBe(6);
  });
});

describe('a process that ends', () => {
  it('a process that ends is told of records that it loses, and of nothing when there are none', async () => {
    const scripted = await ScriptedProducer.withTopic([1]);
    scripted.producer.processEnds();
    expect(scripted.producer.mistakes.size).toBe(0);
    scripted.try('a');
    await settled();
    scripted.producer.processEnds();
    expect(scripted.producer.mistakes.get('PRODUCER_NOT_CLOSED')).toBe(1);
  });
});
