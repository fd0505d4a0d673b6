import { describe, expect, it } from 'vitest';
import type {
  AuthenticationRefusal,
  Authenticator,
  Credentials,
  Permissions,
  Principal,
} from '../../src/core/principal.ts';
import { until } from '../support/until.ts';
import { connectPacket, publish, RawClient, startIngress, subscribe } from './harness.ts';

const principal = (identity: string, untilMs = Number.POSITIVE_INFINITY): Principal => ({
  identity,
  groups: [],
  proof: 'password',
  untilMs,
});

type Answer = Principal | AuthenticationRefusal;

/** An authentication that answers when a test says so; those who come without user name are let in at once. */
class SlowAuthenticator implements Authenticator {
  readonly asked: {
    readonly credentials: Credentials;
    answer(answer: Answer): void;
    fail(error: Error): void;
  }[] = [];

  authenticate(credentials: Credentials): Answer | Promise<Answer> {
    if (credentials.userName === undefined) return principal('');
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.asked.push({ credentials, answer: resolve, fail: reject });
    return promise;
  }

  async isAsked(count = 1): Promise<void> {
    await until(() => this.asked.length >= count, { everyMs: 1, what: `${count} questions` });
  }
}

const start = async (limits = {}, permissions?: Permissions) => {
  const authenticator = new SlowAuthenticator();
  return { authenticator, ...(await startIngress(limits, undefined, { authenticator, permissions })) };
};

describe('a client that is being authenticated', () => {
  it('shows user name, password, client id, listener and address', async () => {
    const { port, authenticator } = await start();
    const client = await RawClient.open(port);
    client.send(connectPacket({ clientId: 'truck', username: 'ann', password: 'secret' }));
    await authenticator.isAsked();
    expect(authenticator.asked[0]!.credentials).toMatchObject({
      clientId: 'truck',
      userName: 'ann',
      password: Buffer.from('secret'),
      listener: '127.0.0.1:0',
      remote: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
      certificate: undefined,
    });
  });

  it('leaves the present holder of its client id connected until it is known', async () => {
    const { port, authenticator, ingress } = await start();
    const holder = await RawClient.connect(port, { clean: false });
    const claimant = await RawClient.open(port);
    claimant.send(connectPacket({ clean: false, username: 'ann' }));
    await authenticator.isAsked();
    await holder.settles();
    expect(ingress.stats.closed['taken-over']).toBe(0);
    authenticator.asked[0]!.answer(principal('ann'));
    await claimant.receives('connack');
    expect(claimant.of('connack')[0]).toMatchObject({ returnCode: 0, sessionPresent: true });
    await holder.closes();
    expect(ingress.stats.closed['taken-over']).toBe(1);
  });

  it('has what it sends behind its CONNECT wait for the answer', async () => {
    const { port, authenticator, sink } = await start();
    const client = await RawClient.open(port);
    client.send(connectPacket({ username: 'ann' }), publish(1), { cmd: 'pingreq' });
    await authenticator.isAsked();
    client.send(publish(2));
    // Another client is served in the meantime, from its CONNECT to its PINGRESP.
    const other = await RawClient.connect(port, { clientId: 'other' });
    await other.settles();
    expect([sink.payloads, client.received]).toEqual([[], []]);
    authenticator.asked[0]!.answer(principal('ann'));
    await sink.holds(2);
    expect(sink.payloads).toEqual(['1', '2']);
    await client.receives('pingresp');
    expect(client.received.map(({ cmd }) => cmd)).toEqual(['connack', 'pingresp']);
  });

  it('is not read past what a CONNECT may be large', async () => {
    const { port, authenticator, ingress, sink } = await start({ maxConnectBytes: 1_000 });
    const client = await RawClient.open(port);
    client.send(connectPacket({ username: 'ann' }));
    await authenticator.isAsked();
    const large = publish(1, 'a', 'x'.repeat(2_000));
    client.send(large);
    await until(() => ingress.stats.pausedConnections === 1, { everyMs: 1 });
    authenticator.asked[0]!.answer(principal('ann'));
    await sink.holds(1);
    await until(() => ingress.stats.pausedConnections === 0, { everyMs: 1 });
  });

  it.each([
    ['bad-credentials', 4],
    ['not-authorised', 5],
    ['unavailable', 3],
  ] as const)('changes nothing when it is refused: %s is return code %i', async (refused, returnCode) => {
    const { port, authenticator, ingress, sink } = await start();
    const holder = await RawClient.connect(port, { clean: false });
    holder.send(subscribe(1, ['a', 1]));
    await holder.receives('suback');
    const stranger = await RawClient.open(port);
    stranger.send(
      connectPacket({ username: 'eve', clean: true, will: { topic: 'a', payload: 'will' } }),
      publish(1, 'a', 'stranger'),
    );
    await authenticator.isAsked();
    authenticator.asked[0]!.answer({ refused, detail: 'no such user' });
    await stranger.closes();
    expect(stranger.received).toMatchObject([{ cmd: 'connack', returnCode }]);
    // The holder's subscription is there, and nothing has come by it but what it sends itself.
    holder.send(publish(2, 'a', 'holder'));
    await holder.receives('publish');
    expect(holder.of('publish')).toMatchObject([{ payload: Buffer.from('holder') }]);
    expect(sink.payloads).toEqual(['holder']);
    expect(ingress.stats).toMatchObject({
      connections: 1,
      sessions: 1,
      closed: { 'not-authorised': 1, 'taken-over': 0 },
    });
  });

  it('is let go when it ends, and a late answer opens nothing', async () => {
    const { port, authenticator, ingress } = await start();
    const holder = await RawClient.connect(port);
    const client = await RawClient.open(port);
    client.send(connectPacket({ username: 'ann' }));
    await authenticator.isAsked();
    client.drop();
    await until(() => ingress.stats.closed['connection-lost'] === 1, { everyMs: 1 });
    authenticator.asked[0]!.answer(principal('ann'));
    await holder.settles();
    expect(ingress.stats).toMatchObject({ connections: 1, sessions: 1, parkedBytes: 0 });
    expect(ingress.stats.closed['taken-over']).toBe(0);
  });

  it('holds no memory when it is stopped in the middle', async () => {
    const { port, authenticator, ingress } = await start();
    const client = await RawClient.open(port);
    client.send(connectPacket({ username: 'ann' }), publish(1));
    await authenticator.isAsked();
    await ingress.close();
    await client.closes();
    authenticator.asked[0]!.answer(principal('ann'));
    expect(ingress.stats).toMatchObject({ connections: 0, sessions: 0, parkedBytes: 0 });
  });

  it('is told to come again when the gateway has begun to stop before the answer', async () => {
    const { port, authenticator, ingress } = await start();
    const client = await RawClient.open(port);
    client.send(connectPacket({ username: 'ann' }));
    await authenticator.isAsked();
    await ingress.stopAccepting();
    authenticator.asked[0]!.answer(principal('ann'));
    await client.closes();
    expect(client.of('connack')).toMatchObject([{ returnCode: 3 }]);
  });

  it('is told to come again when there is no answer in time', async () => {
    const { port, authenticator, ingress, clock } = await start({ connectTimeoutMs: 1_000 });
    const client = await RawClient.open(port);
    client.send(connectPacket({ username: 'ann' }));
    await authenticator.isAsked();
    clock.advance(2_500);
    await client.closes();
    expect(client.of('connack')).toMatchObject([{ returnCode: 3 }]);
    expect(ingress.stats).toMatchObject({ sessions: 0, closed: { 'connect-timeout': 1 } });
  });

  it('is told to come again when the authentication fails, at once or later', async () => {
    const { port, authenticator, logger } = await start();
    const late = await RawClient.open(port);
    late.send(connectPacket({ username: 'ann' }));
    await authenticator.isAsked();
    authenticator.asked[0]!.fail(new Error('no directory'));
    await late.closes();
    authenticator.authenticate = () => {
      throw new Error('no directory');
    };
    const early = await RawClient.open(port);
    early.send(connectPacket({ username: 'ann' }));
    await early.closes();
    for (const { received } of [late, early]) {
      expect(received).toMatchObject([{ cmd: 'connack', returnCode: 3 }]);
    }
    expect(logger.lines.filter(({ message }) => message === 'an authentication has failed')).toHaveLength(2);
  });
});

describe('a client that was authenticated', () => {
  it('is disconnected when the proof of who it is expires', async () => {
    const { port, authenticator, ingress, clock } = await start();
    const client = await RawClient.open(port);
    client.send(connectPacket({ username: 'ann' }));
    await authenticator.isAsked();
    authenticator.asked[0]!.answer(principal('ann', clock.wallMs() + 60_000));
    await client.receives('connack');
    clock.advance(59_000);
    await client.settles();
    clock.advance(1_500);
    await client.closes();
    expect(ingress.stats.closed['not-authorised']).toBe(1);
  });
});

describe('what a client may do', () => {
  /** Allows what begins with the client's identity, and writes down what it was asked. */
  class OwnTopics implements Permissions {
    epoch = 1;
    readonly questions: string[] = [];

    decide({ identity }: Principal, action: string, topic: string): 'allow' | 'deny' {
      this.questions.push(`${action} ${topic}`);
      return topic.startsWith(`${identity}/`) ? 'allow' : 'deny';
    }
  }

  const connected = async () => {
    const permissions = new OwnTopics();
    const test = await startIngress({}, undefined, {
      authenticator: { authenticate: ({ userName = '' }) => principal(userName) },
      permissions,
    });
    const client = await RawClient.connect(test.port, { username: 'ann' });
    return { permissions, client, ...test };
  };

  it('is asked once for each topic, and again when permissions have changed', async () => {
    const { client, permissions, sink } = await connected();
    client.send(publish(1, 'ann/1'), publish(2, 'ann/2'), publish(3, 'ann/1'), publish(4, 'ann/2'));
    await sink.holds(4);
    expect(permissions.questions).toEqual(['publish ann/1', 'publish ann/2']);
    permissions.epoch++;
    client.send(publish(5, 'ann/1'));
    await sink.holds(5);
    expect(permissions.questions).toHaveLength(3);
  });

  it('ends the connection with a publication that it may not publish, which goes nowhere', async () => {
    const { client, port, sink, ingress } = await connected();
    const watcher = await RawClient.connect(port, { clientId: 'watcher', username: 'bob' });
    watcher.send(subscribe(1, ['bob/1', 1]));
    await watcher.receives('suback');
    client.send(publish(1, 'bob/1'), publish(2, 'ann/1'));
    await client.closes();
    await watcher.settles();
    expect([client.ids('puback'), sink.payloads, watcher.of('publish')]).toEqual([[], [], []]);
    expect(ingress.stats.closed.refused).toBe(1);
  });

  it('refuses filters that it may not subscribe to with 0x80, and keeps the others', async () => {
    const { client } = await connected();
    client.send(subscribe(1, ['ann/#', 1], ['#', 1]));
    await client.receives('suback');
    expect(client.of('suback')[0]!.granted).toEqual([1, 0x80]);
  });

  it('refuses a CONNECT with a will that it may not publish', async () => {
    const { port, permissions } = await connected();
    const client = await RawClient.open(port);
    client.send(connectPacket({ clientId: 'b', username: 'bob', will: { topic: 'ann/1', payload: 'x' } }));
    await client.closes();
    expect(client.of('connack')).toMatchObject([{ returnCode: 5 }]);
    expect(permissions.questions).toEqual(['publish ann/1']);
  });
});
