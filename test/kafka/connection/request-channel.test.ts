import { afterEach, describe, expect, it } from 'vitest';
import { openSocket } from '../../../src/kafka/connection/authenticated-channel.ts';
import { RequestChannel } from '../../../src/kafka/connection/request-channel.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';
import { answer, ScriptedBroker, type ReceivedRequest } from '../../support/scripted-broker.ts';
import { until } from '../../support/until.ts';

const plain = { key: 3, version: 1, requestTags: false, responseTags: false };
const tagged = { key: 3, version: 12, requestTags: true, responseTags: true };

let broker: ScriptedBroker;
let channel: RequestChannel;
let clock: ManualClock;
let gone: number;

async function connect(onRequest?: (request: ReceivedRequest) => void): Promise<void> {
  broker = await ScriptedBroker.start(onRequest);
  clock = new ManualClock();
  gone = 0;
  const socket = await openSocket('127.0.0.1', broker.port, {
    tls: undefined,
    timeoutMs: 20_000,
    clock: systemClock,
  });
  channel = new RequestChannel(socket, { clientId: 'test', requestTimeoutMs: 1_000, clock });
  channel.onGone = () => gone++;
}

afterEach(async () => {
  await channel.close();
  await broker.close();
});

const ask = (text = '', api = plain): Promise<string> =>
  channel.request(api, [Buffer.from(text)]).then(String);

describe('answers', () => {
  it('are found when their bytes come one by one', async () => {
    await connect(({ correlationId, socket }) => {
      socket.setNoDelay(true);
      for (const byte of answer(correlationId, `answer ${correlationId}`)) socket.write(Buffer.of(byte));
    });
    expect(await Promise.all([ask(), ask(), ask()])).toEqual(['answer 1', 'answer 2', 'answer 3']);
  });

  it('are found when many come in one read', async () => {
    await connect(() => {
      if (broker.requests.length < 5) return;
      const all = broker.requests.map(({ correlationId }) => answer(correlationId, `#${correlationId}`));
      broker.requests[0]!.socket.write(Buffer.concat(all));
    });
    const asked = Array.from({ length: 5 }, () => ask());
    expect(await Promise.all(asked)).toEqual(['#1', '#2', '#3', '#4', '#5']);
  });

  it('begin behind their tagged fields, also those that we do not know', async () => {
    const tags = [Buffer.of(0), Buffer.of(1, 9, 3, 1, 2, 3)];
    await connect(({ correlationId, socket }) =>
      socket.write(answer(correlationId, Buffer.concat([tags[correlationId - 1]!, Buffer.from('body')]))),
    );
    expect(await ask('', tagged)).toBe('body');
    expect(await ask('', tagged)).toBe('body');
  });
});

describe('a connection ends, each request is rejected once, and says why', () => {
  it.each<[string, (request: ReceivedRequest) => void, RegExp]>([
    ['the broker closes it', ({ socket }) => void socket.end(), /^the broker closed the connection$/],
    [
      'the broker closes it in the middle of an answer',
      ({ correlationId, socket }) => void socket.end(answer(correlationId, 'half').subarray(0, 6)),
      /closed the connection in the middle of an answer/,
    ],
    ['the broker resets it', ({ socket }) => void socket.resetAndDestroy(), /ECONNRESET/],
    [
      'the answer is to another request',
      ({ correlationId, socket }) => void socket.write(answer(correlationId + 5, '')),
      /an answer to request \d+ where one to request 1 was due/,
    ],
    [
      'the answer is 2 GiB large',
      ({ socket }) => void socket.write(Buffer.of(127, 255, 255, 255)),
      /no Kafka/,
    ],
    ['the answer is in HTTP', ({ socket }) => void socket.write('HTTP/1.1 400 Bad Request\r\n'), /is HTTP/],
    [
      'its tagged fields have no end',
      ({ correlationId, socket }) => void socket.write(answer(correlationId, Buffer.alloc(8, 0xff))),
      /varint/,
    ],
  ])('%s', async (_, misbehave, words) => {
    let done = false;
    await connect((request) => {
      if (!done) misbehave(request);
      done = true;
    });
    const outcomes = await Promise.allSettled([ask('a', tagged), ask('b', tagged), ask('c', tagged)]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringMatching(words) as string },
      });
    }
    expect(gone).toBe(1);
    expect(channel.isOpen).toBe(false);
    await expect(ask()).rejects.toThrow(words);
    await expect(channel.notify(plain, [])).rejects.toThrow(words);
    await until(() => broker.sockets.size === 0, { everyMs: 5, what: 'the socket to be closed' });
  });

  it('an answer comes that nobody waits for', async () => {
    await connect(({ correlationId, socket }) => {
      socket.write(Buffer.concat([answer(correlationId, 'one'), answer(correlationId, 'again')]));
    });
    expect(await ask()).toBe('one');
    await until(() => gone === 1, { everyMs: 5, what: 'the end' });
    await expect(ask()).rejects.toThrow('an answer to request 1 where none was due');
  });

  it('no answer comes in time', async () => {
    await connect(({ correlationId, socket }) => {
      if (correlationId === 1) socket.write(answer(1, ''));
    });
    const first = ask();
    const second = expect(ask()).rejects.toThrow('request.timeout.ms (1000 ms) is over');
    await first;
    clock.advance(999);
    const third = expect(ask()).rejects.toThrow('request.timeout.ms (1000 ms) is over');
    expect(channel.isOpen).toBe(true);
    clock.advance(1);
    await Promise.all([second, third]);
    expect(gone).toBe(1);
  });

  it('a broker that reads nothing takes no request without an answer either', async () => {
    await connect();
    await until(() => broker.sockets.size === 1, { everyMs: 5, what: 'the connection' });
    for (const socket of broker.sockets) socket.pause();
    const large = Buffer.alloc(64 * 1024 * 1024);
    const notified = expect(channel.notify(plain, [large])).rejects.toThrow('request.timeout.ms');
    clock.advance(1_000);
    await notified;
  });
});

it('a close lets what was handed over leave, and takes nothing more', async () => {
  await connect();
  await channel.notify(plain, [Buffer.alloc(100_000)]);
  const closed = channel.close();
  await expect(ask()).rejects.toThrow('the connection was closed');
  await closed;
  await until(() => broker.requests.length === 1, { everyMs: 5, what: 'the request to arrive' });
  expect(gone).toBe(1);
});

it('a close does not wait for a broker that reads nothing', async () => {
  await connect();
  await until(() => broker.sockets.size === 1, { everyMs: 5, what: 'the connection' });
  for (const socket of broker.sockets) socket.pause();
  const notified = expect(channel.notify(plain, [Buffer.alloc(64 * 1024 * 1024)])).rejects.toThrow();
  const closed = channel.close();
  clock.advance(1_000);
  await closed;
  await notified;
});
