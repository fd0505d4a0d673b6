import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import { PLAINTEXT } from '../../../src/kafka/security/security.ts';
import { TopicKeeper } from '../../../src/kafka/clients/topics.ts';
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
