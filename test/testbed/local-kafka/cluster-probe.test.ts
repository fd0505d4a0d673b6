import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { probeCluster } from '../../../src/testbed/local-kafka/ports.ts';

let server: Server | undefined;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await stopListening();
});

async function stopListening(): Promise<void> {
  const closing = server;
  server = undefined;
  if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
}

/** A server that answers the first bytes it gets with these chunks, a tick apart. */
async function listen(...chunks: Buffer[]): Promise<number> {
  server = createServer((socket) => {
    sockets.push(socket);
    socket.setNoDelay(true).on('error', () => {});
    socket.once('data', () => {
      const next = (): void => {
        const chunk = chunks.shift();
        if (chunk !== undefined) socket.write(chunk, () => setImmediate(next));
      };
      next();
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** A Metadata v4 response from one broker, laid out by hand after the protocol guide. */
const RESPONSE = Buffer.concat([
  Buffer.from([0, 0, 0, 46]), // size
  Buffer.from([0, 0, 0, 1]), // correlation id
  Buffer.from([0, 0, 0, 0]), // throttle time
  Buffer.from([0, 0, 0, 1]), // one broker:
  Buffer.from([0, 0, 0, 7, 0, 4]), // id, length of host
  Buffer.from('host'),
  Buffer.from([0, 0, 0x23, 0x84, 0xff, 0xff]), // port, no rack
  Buffer.from([0, 10]),
  Buffer.from('cluster-id'),
  Buffer.from([0, 0, 0, 7, 0, 0, 0, 0]), // controller, no topics
]);

test('a broker tells its cluster and who serves in it, however its answer is cut up', async () => {
  RESPONSE.writeInt32BE(RESPONSE.length - 4, 0);
  const port = await listen(RESPONSE.subarray(0, 3), RESPONSE.subarray(3, 20), RESPONSE.subarray(20));
  expect(await probeCluster(port)).toEqual({
    clusterId: 'cluster-id',
    brokers: [{ id: 7, host: 'host', port: 9092 }],
  });
});

test.each([
  ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['an empty answer', Buffer.from([0, 0, 0, 0])],
  ['an answer that ends early', Buffer.from([0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0])],
  [
    'a string beyond the end',
    Buffer.concat([RESPONSE.subarray(0, 20), Buffer.from([0x7f, 0xff]), Buffer.alloc(28)]),
  ],
])('%s is not a Kafka', async (_, bytes) => {
  expect(await probeCluster(await listen(bytes), 200)).toBeUndefined();
});

test('a server that says nothing is given up', async () => {
  expect(await probeCluster(await listen(), 50)).toBeUndefined();
});

test('a port where nobody listens is no Kafka', async () => {
  const port = await listen();
  await stopListening();
  expect(await probeCluster(port)).toBeUndefined();
});
