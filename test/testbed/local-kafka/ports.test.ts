import { createServer, type AddressInfo } from 'node:net';

import { expect, test } from 'vitest';

import { findFreePorts, portFault } from '../../../src/testbed/local-kafka/ports.ts';

test('a port that a server has is told from one that is free', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await portFault(port)).toBe('EADDRINUSE');
  await new Promise((resolve) => server.close(resolve));
  expect(await portFault(port)).toBeUndefined();
});

test('free ports differ, and are none that outgoing connections are given', async () => {
  const ports = await findFreePorts(20);
  expect(new Set(ports).size).toBe(20);
  for (const port of ports) expect(port).toBeLessThan(32_768);
});
