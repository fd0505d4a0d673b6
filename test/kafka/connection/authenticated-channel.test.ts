import { afterEach, describe, expect, it } from 'vitest';
import { BrokerUnavailableError } from '../../../src/producer/errors.ts';
import { int16, int32, int64, ProtocolWriter } from '../../../src/kafka/protocol/protocol-bytes.ts';
import { LoginError, type Sasl } from '../../../src/kafka/security/sasl.ts';
import { PLAINTEXT } from '../../../src/kafka/security/security.ts';
import { AuthenticatedChannel } from '../../../src/kafka/connection/authenticated-channel.ts';
import { ManualClock } from '../../testbed/fleet/manual-clock.ts';
import { answer, ScriptedBroker, type ReceivedRequest } from '../../support/scripted-broker.ts';
import { until } from '../../support/until.ts';

const [PRODUCE, METADATA, HANDSHAKE, API_VERSIONS, AUTHENTICATE] = [0, 3, 17, 18, 36];
const question = { key: METADATA, version: 8, requestTags: false, responseTags: false };
const sasl: Sasl = { mechanism: 'PLAIN', credentials: () => ({ username: 'u', password: 'p' }) };
const LIFETIME_MS = 10_000;

let broker: ScriptedBroker;
let clock: ManualClock;
let channel: AuthenticatedChannel | undefined;
let closed: number;

afterEach(async () => {
  await channel?.close();
  channel = undefined;
  await broker.close();
});

/** What a broker says of Produce, Metadata, SaslHandshake and SaslAuthenticate (ApiVersions 3). */
function versions(): Buffer {
  const ranges = [
    [PRODUCE, 3, 9],
    [METADATA, 0, 9],
    [HANDSHAKE, 0, 1],
    [AUTHENTICATE, 0, 2],
  ].map((range) => Buffer.concat([...range.map((value) => int16(value)), Buffer.of(0)]));
  return Buffer.concat([int16(0), Buffer.of(ranges.length + 1), ...ranges, int32(0), Buffer.of(0)]);
}

const handshaken = (errorCode = 0): Buffer =>
  Buffer.concat([int16(errorCode), int32(1), new ProtocolWriter(false).string('PLAIN')]);

function authenticated(errorCode = 0, message: string | null = null, lifetimeMs = LIFETIME_MS): Buffer {
  const text = new ProtocolWriter(true).string(message);
  return Buffer.concat([
    Buffer.of(0),
    int16(errorCode),
    text,
    Buffer.of(1),
    int64(BigInt(lifetimeMs)),
    Buffer.of(0),
  ]);
}

/** What a sound broker says to a request. */
function sound({ key, correlationId }: ReceivedRequest): Buffer {
  if (key === API_VERSIONS) return answer(correlationId, versions());
  if (key === HANDSHAKE) return answer(correlationId, handshaken());
  if (key === AUTHENTICATE) return answer(correlationId, authenticated());
  return answer(correlationId, `to ${correlationId}`);
}

const answering = (request: ReceivedRequest): void => void request.socket.write(sound(request));

async function open(
  onRequest: (request: ReceivedRequest) => void,
  login: Sasl | 'none' = sasl,
): Promise<AuthenticatedChannel> {
  broker = await ScriptedBroker.start(onRequest);
  clock = new ManualClock();
  closed = 0;
  const options = {
    clientId: 'test',
    connectTimeoutMs: 10_000,
    requestTimeoutMs: 60_000,
    security:
      login === 'none' ? PLAINTEXT : { protocol: 'SASL_PLAINTEXT' as const, tls: undefined, sasl: login },
    clock,
  };
  channel = await AuthenticatedChannel.open('127.0.0.1', broker.port, options, () => closed++);
  return channel;
}

const asked = (): number[] => broker.requests.map(({ key }) => key);

describe('a login', () => {
  it('is renewed at four fifths of its life, and requests wait for that in their order', async () => {
    let held: ReceivedRequest | undefined;
    const to = await open((request) => {
      const isRenewal = request.key === AUTHENTICATE && broker.requests.length > 3;
      if (isRenewal && held === undefined) held = request;
      else answering(request);
    });
    expect(asked()).toEqual([API_VERSIONS, HANDSHAKE, AUTHENTICATE]);
    expect(String(await to.request(question, []))).toBe('to 4');

    clock.advance(LIFETIME_MS * 0.8 - 1);
    expect(String(await to.request(question, []))).toBe('to 5');
    clock.advance(1);
    await until(() => held !== undefined, { everyMs: 5, what: 'the renewal' });
    const order: string[] = [];
    const later = ['a', 'b', 'c'].map(async (name) => {
      await to.request(question, []);
      order.push(name);
    });
    expect(to.isConnected).toBe(true);
    expect(to.unanswered).toBe(3);
    expect(asked().slice(5)).toEqual([HANDSHAKE, AUTHENTICATE]);
    answering(held!);
    await Promise.all(later);
    expect(order).toEqual(['a', 'b', 'c']);
    expect(asked().slice(7)).toEqual([METADATA, METADATA, METADATA]);

    clock.advance(LIFETIME_MS * 0.8);
    await until(() => asked().length === 12, { everyMs: 5, what: 'the next renewal' });
    expect(closed).toBe(0);
  });

  it('that is not renewed ends the connection, and rejects what waited for it', async () => {
    let held: ReceivedRequest | undefined;
    const to = await open((request) => {
      if (request.key === HANDSHAKE && broker.requests.length > 3) held = request;
      else answering(request);
    });
    clock.advance(LIFETIME_MS * 0.8);
    await until(() => held !== undefined, { everyMs: 5, what: 'the renewal' });
    const waiting = expect(to.request(question, [])).rejects.toMatchObject({
      code: 'KAFKA_SASL_MECHANISM_REFUSED',
    });
    held!.socket.write(answer(held!.correlationId, handshaken(33)));
    await waiting;
    expect(closed).toBe(1);
    expect(to.isConnected).toBe(false);
  });

  it.each([
    ['to nothing at all', API_VERSIONS],
    ['to a login', HANDSHAKE],
    ['to the password', AUTHENTICATE],
  ])(
    'of a broker that gives no answer %s is given up when the connection should stand',
    async (_, silentAt) => {
      let isAsked = false;
      const opening = open((request) => {
        if (request.key === silentAt) isAsked = true;
        else answering(request);
      });
      const refused = expect(opening).rejects.toMatchObject({
        code: 'BROKER_UNAVAILABLE',
        message: expect.stringContaining('socket.connection.setup.timeout.ms (10000 ms) is over') as string,
      });
      await until(() => isAsked, { everyMs: 5, what: 'the request' });
      clock.advance(10_000);
      await refused;
      await until(() => broker.sockets.size === 0, { everyMs: 5, what: 'the connection to be closed' });
    },
  );

  it('that lasts for months is not renewed at once', async () => {
    const to = await open((request) => {
      if (request.key !== AUTHENTICATE) answering(request);
      else request.socket.write(answer(request.correlationId, authenticated(0, null, 1e11)));
    });
    clock.advance(0x7fff_fffe);
    await to.request(question, []);
    expect(asked().filter((key) => key === HANDSHAKE)).toHaveLength(1);
  });

  it.each([
    [
      'Authentication failed: Invalid username or password',
      'refused our login (Invalid username or password)',
    ],
    [
      'Authentication failed during authentication due to invalid credentials',
      'refused our login (during authentication due to invalid credentials)',
    ],
  ])('that the broker refuses is told in its words: %s', async (said, told) => {
    const opening = open((request) => {
      if (request.key !== AUTHENTICATE) answering(request);
      else request.socket.write(answer(request.correlationId, authenticated(58, said)));
    });
    await expect(opening).rejects.toMatchObject({
      code: 'KAFKA_AUTHENTICATION_FAILED',
      message: expect.stringContaining(told) as string,
    });
    await until(() => broker.sockets.size === 0, { everyMs: 5, what: 'the connection to be closed' });
    expect(closed).toBe(0);
  });

  it('with a token ends when the broker says why it does not take it, which it does without an error code', async () => {
    const reason = Buffer.from('{"status":"invalid_token"}');
    const body = [
      Buffer.of(0),
      int16(0),
      Buffer.of(0),
      Buffer.of(reason.length + 1),
      reason,
      int64(0n),
      Buffer.of(0),
    ];
    const token = { value: 'abc', extensions: {} };
    const opening = open(
      (request) => {
        if (request.key !== AUTHENTICATE) answering(request);
        else request.socket.write(answer(request.correlationId, Buffer.concat(body)));
      },
      { mechanism: 'OAUTHBEARER', token: () => Promise.resolve(token) },
    );
    await expect(opening).rejects.toMatchObject({
      code: 'KAFKA_AUTHENTICATION_FAILED',
      message: expect.stringContaining('refused our login (invalid_token)') as string,
      cause: expect.any(LoginError) as LoginError,
    });
  });
});

describe('a broker that is none', () => {
  it.each<[string, string, string]>([
    ['speaks TLS', '\x15\x03\x03\0\x02\x02\x50', 'KAFKA_TLS_REQUIRED'],
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'BROKER_UNAVAILABLE'],
  ])('%s: that is said, with its address', async (_, says, code) => {
    const refused = open(({ socket }) => void socket.write(Buffer.from(says, 'latin1')), 'none').then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(await refused).toMatchObject({
      code,
      message: expect.stringContaining(`127.0.0.1:${broker.port} `) as string,
    });
  });

  it('answers what can not be read: that is an error like any other of a connection', async () => {
    const opening = open(
      ({ correlationId, socket }) => void socket.write(answer(correlationId, '\0')),
      'none',
    );
    await expect(opening).rejects.toBeInstanceOf(BrokerUnavailableError);
    await until(() => broker.sockets.size === 0, { everyMs: 5, what: 'the connection to be closed' });
  });
});
