import { describe, expect, it } from 'vitest';
import { type AuditEntry, digestOf } from '../../../src/features/audit/audit-block.ts';
import { Comparison, type Difference } from '../../../src/features/audit/comparison.ts';

/** Values by offset; a hole is no record. */
function kafka(logs: Readonly<Record<string, { begin?: number; values: readonly (string | undefined)[] }>>) {
  return {
    describe: (topic: string) => {
      const log = logs[topic];
      return Promise.resolve(log && { partitions: [{ begin: log.begin ?? 0, end: log.values.length }] });
    },
    async *read({ topic, from, to }: { topic: string; from: number; to: number }) {
      await Promise.resolve();
      const { values, begin = 0 } = logs[topic]!;
      for (let offset = Math.max(from, begin); offset < Math.min(to, values.length); offset++) {
        const value = values[offset];
        if (value !== undefined) yield [{ offset, key: Buffer.from('k'), value: Buffer.from(value) }];
      }
    },
  };
}

const entry = (offset: number, value: string, topic = 't'): AuditEntry => ({
  timeMs: 0,
  topic,
  partition: 0,
  offset,
  key: Buffer.from('k'),
  digest: digestOf(Buffer.from('k'), Buffer.from(value)),
});

async function compare(logs: Parameters<typeof kafka>[0], ...windows: AuditEntry[][]) {
  const differences: Difference[] = [];
  const comparison = new Comparison(kafka(logs), (difference) => differences.push(difference));
  for (const window of windows) await comparison.compare(window);
  await comparison.finish();
  return { differences: differences.map(({ kind, entry: { offset } }) => [kind, offset]), comparison };
}

describe('what was acknowledged, compared with Kafka', () => {
  it('has no difference where every record stands where it was put, in whatever order that was noted', async () => {
    const logs = { t: { values: ['a', 'b', 'foreign', 'c'] } };
    const { differences, comparison } = await compare(logs, [entry(3, 'c'), entry(0, 'a')], [entry(1, 'b')]);
    expect(differences).toEqual([]);
    expect(comparison.judged).toBe(3);
  });

  it('names what is missing, at the end of a log and within, and what is something else', async () => {
    const logs = { t: { values: ['a', undefined, 'x', 'c'] } };
    const { differences } = await compare(logs, [
      entry(0, 'a'),
      entry(1, 'b'),
      entry(2, 'b2'),
      entry(3, 'c'),
      entry(4, 'd'),
    ]);
    expect(differences).toEqual([
      ['missing', 1],
      ['different', 2],
      ['missing', 4],
    ]);
  });

  it('tells what was deleted from the beginning from what is missing, and knows when the topic is gone', async () => {
    const logs = { t: { begin: 2, values: ['a', 'b', 'c'] } };
    const { differences } = await compare(logs, [entry(1, 'b'), entry(2, 'c'), entry(5, 'x', 'gone')]);
    expect(differences).toEqual([
      ['deleted', 1],
      ['no-topic', 5],
    ]);
  });

  it('looks for records of which Kafka did not say where they are, each once', async () => {
    const logs = { t: { values: ['a', 'b', 'b', 'c', 'd'] } };
    const found = await compare(logs, [entry(0, 'a'), entry(-1, 'b'), entry(-1, 'b')], [entry(3, 'c')]);
    expect(found.differences).toEqual([]);
    const thrice = await compare(logs, [entry(0, 'a'), entry(-1, 'b'), entry(-1, 'b'), entry(-1, 'b')]);
    expect(thrice.differences).toEqual([['missing', -1]]);
    const last = await compare(logs, [entry(3, 'c')], [entry(-1, 'd')]);
    expect(last.differences).toEqual([]);
  });
});
