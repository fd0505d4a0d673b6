import { text } from 'node:stream/consumers';
import { beforeEach, expect, it } from 'vitest';
import { CaptureTap, MAX_CAPTURES } from '../../../src/features/capture/capture-tap.ts';
import { parseLine, type CaptureLine } from '../../../src/features/capture/captured-message.ts';
import type { Publication, PublicationOrigin } from '../../../src/core/publication.ts';

const origin: PublicationOrigin = { complete() {}, resume() {} };
const topics = ['a/1', 'b/1'].map((name, id) => ({ name, id }));

let hasRoom = true;
let accepted: string[] = [];
let tap: CaptureTap;

beforeEach(() => {
  hasRoom = true;
  accepted = [];
  tap = new CaptureTap(
    {
      accept: ({ payload }) => {
        if (hasRoom) accepted.push(payload.toString('utf8').slice(0, 10));
        return hasRoom;
      },
    },
    () => 1,
  );
});

function publish(payload: string, topic = 0): boolean {
  const publication: Publication = {
    topic: topics[topic]!,
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    clientId: 'c',
    receivedAtMs: 2,
  };
  return tap.accept(publication, origin, 0);
}

const open = (count = Number.POSITIVE_INFINITY) =>
  tap.open({ filter: 'a/#', wants: (name) => name.startsWith('a/'), count })!;

async function captured(lines: ReturnType<typeof open>): Promise<CaptureLine[]> {
  const whole = await text(lines);
  return whole
    .trimEnd()
    .split('\n')
    .map((line) => parseLine(line) as CaptureLine);
}

const payloads = (lines: readonly CaptureLine[]): string[] =>
  lines.flatMap((line) => (line.kind === 'message' ? [line.message.payload.toString('utf8')] : []));

it('a capture takes down what passes on the topics that are wanted, and passes on everything', async () => {
  publish('before');
  const lines = open();
  publish('one');
  publish('other', 1);
  publish('two');
  tap.close();
  publish('after');
  const found = await captured(lines);
  expect(found[0]).toEqual({ kind: 'begin', sinceMs: 1, filter: 'a/#' });
  expect(payloads(found)).toEqual(['one', 'two']);
  expect(accepted).toEqual(['before', 'one', 'other', 'two', 'after']);
});

it('a capture has a message that waited for room once', async () => {
  const lines = open();
  hasRoom = false;
  expect(publish('one')).toBe(false);
  expect(publish('one')).toBe(false);
  hasRoom = true;
  expect(publish('one')).toBe(true);
  tap.close();
  expect(payloads(await captured(lines))).toEqual(['one']);
});

it('a capture ends by itself after as many as were asked for', async () => {
  const lines = open(2);
  for (const payload of ['one', 'two', 'three']) publish(payload);
  expect(payloads(await captured(lines))).toEqual(['one', 'two']);
});

it('a capture never holds more than its bound for a reader that is slow, and says how many messages are not there', async () => {
  const lines = open();
  const mebibyte = 'x'.repeat(1_048_576);
  for (let n = 0; n < 20; n++) publish(mebibyte);
  expect(lines.readableLength).toBeLessThan(10 * 1_048_576);
  expect(accepted).toHaveLength(20);
  tap.close();
  const found = await captured(lines);
  const missed = found.at(-1);
  expect(missed?.kind).toBe('missed');
  expect(payloads(found).length + (missed as { messages: number }).messages).toBe(20);
});

it('the tap forgets a reader that goes away, and takes a bounded number of them', () => {
  const all = Array.from({ length: MAX_CAPTURES }, () => open());
  expect(tap.open({ filter: '#', wants: () => true, count: 1 })).toBeUndefined();
  const gone = Promise.withResolvers<undefined>();
  all[0]!.once('close', () => {
    gone.resolve(undefined);
  });
  all[0]!.destroy();
  return gone.promise.then(() => {
    expect(tap.open({ filter: '#', wants: () => true, count: 1 })).toBeDefined();
    tap.close();
  });
});
