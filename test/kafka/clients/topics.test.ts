import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import { PLAINTEXT } from '../../../src/kafka/security/security.ts';
import { KafkaClientError } from '../../../src/kafka/clients/ports.ts';
import { ensureTopics, TopicKeeper } from '../../../src/kafka/clients/topics.ts';
import { TestClock } from '../../mqtt/harness.ts';

it('looks for topics once at a time, however many are added meanwhile', async () => {
  const sockets: Socket[] = [];
  // Takes connections, and never answers.
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const clock = new TestClock();
  const keeper = new TopicKeeper({
    bootstrapServers: [`127.0.0.1:${port}`],
    clientId: 'test',
    security: PLAINTEXT,
    topics: ['a'],
    settings: { create: false, partitions: 1, replicationFactor: undefined, config: {} },
    onFound: () => {},
    clock,
    logger: silentLogger,
  });
  const started = keeper.start();
  await once(server, 'connection');
  for (const topic of ['b', 'c']) {
    keeper.add(topic);
    clock.advance(50);
    for (let turns = 0; turns < 10; turns++) await turn();
  }
  // Whoever came before this one is counted.
  const last = connect(port, '127.0.0.1');
  await once(server, 'connection');
  expect(sockets).toHaveLength(2);
  expect(keeper.topics).toEqual(['a', 'b', 'c']);

  keeper.stop();
  last.destroy();
  for (const socket of sockets) socket.destroy();
  server.close();
  await started;
});

it('a topic that may not be made is missing, and keeps no other from being there', async () => {
  const made: string[] = [];
  const refuse = (): Promise<never> =>
    Promise.reject(new KafkaClientError('TOPIC_AUTHORIZATION_FAILED', 'not authorised'));
  const admin: Parameters<typeof ensureTopics>[0] = {
    listTopics: () => Promise.resolve(['there']),
    createTopic: ({ topic }) => (topic === 'mine' ? Promise.resolve(made.push(topic) > 0) : refuse()),
    describeTopics: ([topic = '']) => Promise.resolve([{ topic, partitions: 8, replicationFactor: 3 }]),
    // Whoever may only produce sees no settings.
    topicConfig: refuse,
  };
  const specs = ['there', 'theirs', 'mine'].map((topic) => ({ topic, partitions: 8 }));
  const shape = { partitions: 8, replicationFactor: 3, minInsyncReplicas: undefined };
  expect(await ensureTopics(admin, specs, true)).toEqual([
    { topic: 'there', state: 'exists', shape: { topic: 'there', ...shape } },
    {
      topic: 'theirs',
      state: 'missing',
      reason: 'it does not exist, and we are not authorised to create it',
      code: 'TOPIC_AUTHORIZATION_FAILED',
    },
    { topic: 'mine', state: 'created', shape: { topic: 'mine', ...shape } },
  ]);
  expect(made).toEqual(['mine']);
});
