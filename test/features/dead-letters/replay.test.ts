import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTRACTS } from '../../../src/core/contract.ts';
import { decodeHeaders, encodeHeaders, NO_HEADERS } from '../../../src/core/record.ts';
import { FILTERED, type Route } from '../../../src/core/route.ts';
import { HandledLetters } from '../../../src/features/dead-letters/handled.ts';
import { findLetters, letterLogs, type Selection } from '../../../src/features/dead-letters/letters.ts';
import { Replay, type ReplayOutcome } from '../../../src/features/dead-letters/replay.ts';
import { Transcriber } from '../../../src/features/dead-letters/transcriber.ts';
import { Crash, FakeKafka, STATE } from './fake-kafka.ts';

/** Payloads are readings with commas between them; what begins with `bad` is not understood, with `dull` filtered. */
function route(profile: string, kafkaTopic: string, mended: boolean): Route {
  let readings: string[] = [];
  let selected: string | undefined;
  return {
    profile,
    contract: CONTRACTS.kafka,
    topic: kafkaTopic,
    deadLetterTopic: 'telemetry.dlq',
    toRecord({ receivedAtMs }, record) {
      if (selected!.startsWith('bad') && !mended)
        return { code: 'DECODE_FAILED', message: `${selected} is bad` };
      if (selected!.startsWith('dull')) return FILTERED;
      record.topic = kafkaTopic;
      record.key = Buffer.from('d1');
      record.value = Buffer.from(`${profile}:${selected}`);
      record.timestampMs = receivedAtMs;
      record.headers = NO_HEADERS;
      return undefined;
    },
    taken() {},
    whenReady() {},
    batch: {
      open({ payload }) {
        readings = payload.toString().split(',');
        return readings.length;
      },
      select(index) {
        selected = readings[index];
      },
      selected: 0,
      alone: () => undefined,
      close() {
        selected = undefined;
      },
    },
  };
}

function headersOf(...headers: readonly Readonly<Record<string, string>>[]) {
  return encodeHeaders(
    headers.flatMap((some) =>
      Object.entries(some).map(([key, value]) => ({ key, value: Buffer.from(value) })),
    ),
  );
}

interface RunOptions {
  readonly selection?: Selection;
  readonly dryRun?: boolean;
  readonly as?: string;
  readonly chunkLetters?: number;
  /** Today's profile understands what was bad. */
  readonly mended?: boolean;
}

/** One replay, as the command does it, in a process of its own. */
async function run(kafka: FakeKafka, options: RunOptions = {}) {
  const { selection = {}, dryRun = false, mended = false, as, chunkLetters = 3 } = options;
  const outcomes: [offset: number, outcome: ReplayOutcome][] = [];
  const handled = await HandledLetters.load(kafka, STATE, kafka.send);
  const replay = new Replay({
    source: kafka,
    handled,
    transcriber: new Transcriber({
      routesOf: (topic) =>
        topic === 'fleet/d1'
          ? [route('sensor', 'telemetry', mended), route('other', 'elsewhere', mended)]
          : [],
      ...(as !== undefined && { as }),
    }),
    ...(!dryRun && {
      writer: {
        send: kafka.send,
        ensureTopic: (topic) => {
          if (!kafka.topics.has(topic)) kafka.topics.set(topic, []);
          return Promise.resolve();
        },
        assertAlone: () => {},
      },
    }),
    onOutcome: ({ letter }, outcome) => outcomes.push([letter.offset, outcome]),
    chunkLetters,
  });
  const recovered = await replay.recover();
  const logs = await letterLogs(kafka, ['telemetry.dlq', 'absent.dlq']);
  for await (const found of findLetters(kafka, handled, logs, selection)) {
    await replay.add(found);
  }
  await replay.flush();
  return { outcomes, recovered };
}

function values(kafka: FakeKafka, topic = 'telemetry'): string[] {
  return (kafka.topics.get(topic) ?? []).map(({ value }) => value!.toString());
}

describe('a replay', () => {
  it('sends each dead letter once, in order, and never again', async () => {
    const kafka = new FakeKafka();
    for (const payload of ['a', 'b', 'c', 'd', 'e']) kafka.addLetter('telemetry.dlq', payload);
    await run(kafka);
    await run(kafka);
    expect(values(kafka)).toEqual(['sensor:a', 'sensor:b', 'sensor:c', 'sensor:d', 'sensor:e']);
    expect(values(kafka, 'elsewhere')).toEqual([]);
    kafka.addLetter('telemetry.dlq', 'f');
    expect((await run(kafka)).outcomes).toEqual([
      [5, { kind: 'replayed', records: [{ topic: 'telemetry', partition: 0, offset: 5 }] }],
    ]);
  });

  it('says in each record which dead letter it comes from', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a,b');
    await run(kafka);
    const origins = kafka.topics
      .get('telemetry')!
      .map(({ headers }) => Buffer.from(decodeHeaders(headers).at(-1)!.value!).toString());
    expect(origins).toEqual(['telemetry.dlq/0/0/0', 'telemetry.dlq/0/0/1']);
  });

  it('leaves those that fail again, with the reason, and replays them when they no longer fail', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a,bad');
    kafka.addLetter('telemetry.dlq', 'b');
    const { outcomes } = await run(kafka);
    expect(outcomes[0]).toEqual([
      0,
      { kind: 'failed', fault: { code: 'DECODE_FAILED', message: 'bad is bad' } },
    ]);
    expect(values(kafka)).toEqual(['sensor:b']);
    const handled = await HandledLetters.load(kafka, STATE);
    const log = { topic: 'telemetry.dlq', topicId: 'id-of-telemetry.dlq', partition: 0 };
    expect(handled.of(log, 0)).toEqual({ state: 'open', failures: 1, written: [] });
    expect(handled.of(log, 1).state).toBe('replayed');
    expect((await run(kafka)).outcomes).toHaveLength(1);
  });

  it('of a letter whose records Kafka took in part sends only the others the next time', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a,b,c');
    kafka.refuses = (value) => value === 'sensor:b';
    const { outcomes } = await run(kafka);
    expect(outcomes).toEqual([
      [0, { kind: 'failed', fault: { code: 'RECORD_TOO_LARGE', message: 'too large' } }],
    ]);
    kafka.refuses = () => false;
    await run(kafka);
    expect(values(kafka)).toEqual(['sensor:a', 'sensor:c', 'sensor:b']);
  });

  it('takes the one reading that a dead letter is about, and no other profile than the one that it names', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a,b,c', { reading: '1' });
    await run(kafka);
    expect(values(kafka)).toEqual(['sensor:b']);
    expect(values(kafka, 'elsewhere')).toEqual([]);
  });

  it('takes another profile if that is asked for, and every one that matches where none did', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a', { 'device.type': 'gone' });
    const { outcomes } = await run(kafka);
    expect(outcomes).toMatchObject([[0, { kind: 'failed', fault: { code: 'UNROUTED' } }]]);
    await run(kafka, { as: 'other' });
    expect(values(kafka, 'elsewhere')).toEqual(['other:a']);
  });

  it('counts what the profile filters as done', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'dull');
    expect((await run(kafka)).outcomes).toEqual([[0, { kind: 'filtered' }]]);
    expect((await run(kafka)).outcomes).toEqual([]);
  });

  it('sends a record that Kafka refused as it was, to the topic that it was for', async () => {
    const kafka = new FakeKafka();
    kafka.add('telemetry.dlq', {
      key: null,
      value: Buffer.from('finished'),
      headers: headersOf(
        {
          'content-type': 'x/y',
          route: 'its own',
          'error.code': 'RECORD_TOO_LARGE',
          'error.message': 'too large',
          'mqtt.topic': 'fleet/d1',
          'mqtt.client.id': 'd1',
          'received.at': '1700000000000',
          attempt: '1',
          'device.type': 'sensor',
          'dead.letter.holds': 'record',
          'record.topic': 'named-by-device',
          'record.timestamp': '17',
        },
        { route: 'fleet/{device}' },
      ),
      timestampMs: 1_700_000_000_000,
    });
    await run(kafka);
    const [record] = kafka.topics.get('named-by-device')!;
    expect(record).toMatchObject({ timestampMs: 17 });
    expect(record!.value!.toString()).toBe('finished');
    expect(
      decodeHeaders(record!.headers).map(({ key, value }) => [key, Buffer.from(value!).toString()]),
    ).toEqual([
      ['content-type', 'x/y'],
      ['route', 'its own'],
      ['dead.letter.origin', 'telemetry.dlq/0/0/0'],
    ]);
  });

  it('takes those readings of a shared dead letter that are understood by now, and the others later, each once', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a,bad,b,x,c', { reading: '0-2,4' });
    const { outcomes } = await run(kafka);
    expect(outcomes).toEqual([
      [0, { kind: 'failed', fault: { code: 'DECODE_FAILED', message: 'bad is bad' } }],
    ]);
    expect(values(kafka)).toEqual(['sensor:a', 'sensor:b', 'sensor:c']);
    await run(kafka);
    await run(kafka, { mended: true });
    await run(kafka, { mended: true });
    expect(values(kafka)).toEqual(['sensor:a', 'sensor:b', 'sensor:c', 'sensor:bad']);
  });

  it('with dry run writes nothing, and says where each would go', async () => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a');
    kafka.addLetter('telemetry.dlq', 'bad');
    const { outcomes } = await run(kafka, { dryRun: true });
    expect(outcomes).toMatchObject([
      [1, { kind: 'failed' }],
      [0, { kind: 'would-replay', topics: ['telemetry'] }],
    ]);
    expect(kafka.topics.has(STATE)).toBe(false);
    expect(values(kafka)).toEqual([]);
  });

  it('leaves what is no dead letter of ours alone', async () => {
    const kafka = new FakeKafka();
    kafka.add('telemetry.dlq', { key: null, value: Buffer.from('x'), headers: NO_HEADERS, timestampMs: 1 });
    expect((await run(kafka)).outcomes).toMatchObject([
      [0, { kind: 'failed', fault: { code: 'NO_DEAD_LETTER' } }],
    ]);
  });
});

describe('a replay of a selection', () => {
  const letters = async (selection: Selection) => {
    const kafka = new FakeKafka();
    kafka.addLetter('telemetry.dlq', 'a', { 'received.at': '1000' });
    kafka.addLetter('telemetry.dlq', 'b', { 'received.at': '2000', 'mqtt.client.id': 'd2' });
    kafka.addLetter('telemetry.dlq', 'c', { 'received.at': '3000', 'error.code': 'FIELD_TYPE' });
    kafka.addLetter('telemetry.dlq', 'd', { 'received.at': '4000', 'mqtt.topic': 'fleet/d9' });
    const { outcomes } = await run(kafka, { selection, dryRun: true });
    return outcomes.map(([offset]) => offset).sort();
  };

  it('takes what all filters mean', async () => {
    expect(await letters({})).toEqual([0, 1, 2, 3]);
    expect(await letters({ sinceMs: 2_000, untilMs: 4_000 })).toEqual([1, 2]);
    expect(await letters({ clientIds: ['d2'] })).toEqual([1]);
    expect(await letters({ codes: ['FIELD_TYPE'], types: ['sensor'] })).toEqual([2]);
    expect(await letters({ types: ['other'] })).toEqual([]);
    expect(await letters({ matchesTopic: (topic) => topic.endsWith('d9') })).toEqual([3]);
  });
});

describe('replays that are killed', () => {
  it('wherever they die, and however often, leave each record in Kafka once, and in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'a,b', 'bad', 'c,dull,d', 'e,bad,f'), { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(30), { maxLength: 6 }),
        fc.boolean(),
        async (payloads, crashes, backwards) => {
          const kafka = new FakeKafka();
          payloads.forEach((payload, i) => {
            kafka.addLetter(
              'telemetry.dlq',
              payload
                .split(',')
                .map((p) => `${p}${i}`)
                .join(','),
              payload === 'e,bad,f' ? { reading: '0-2' } : {},
            );
          });
          const wanted = payloads.flatMap((payload, i) =>
            payload === 'bad'
              ? []
              : payload
                  .split(',')
                  .filter((p) => p !== 'dull' && p !== 'bad')
                  .map((p) => `sensor:${p}${i}`),
          );
          // Somebody else writes to the same topic all the time.
          for (const steps of crashes) {
            kafka.add('telemetry', {
              key: null,
              value: Buffer.from('live'),
              headers: NO_HEADERS,
              timestampMs: 1,
            });
            kafka.stepsLeft = steps;
            // A selection out of order must be remembered just as well.
            const selection: Selection = backwards ? { matchesTopic: () => steps % 2 === 0 } : {};
            await run(kafka, { selection }).catch((error: unknown) => {
              expect(error).toBeInstanceOf(Crash);
            });
          }
          kafka.stepsLeft = Number.POSITIVE_INFINITY;
          await run(kafka);
          await run(kafka);
          const found = values(kafka).filter((value) => value !== 'live');
          expect(found.toSorted()).toEqual(wanted.toSorted());
          if (!backwards) expect(found).toEqual(wanted);
        },
      ),
      { numRuns: 300 },
    );
  });
});
