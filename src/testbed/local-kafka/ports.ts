import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the range from which the operating system takes ports for outgoing connections (32768 upwards on
 * Linux, 49152 on macOS). A port from that range may be taken while its broker restarts; worse, a client
 * that retries a connection to it on loopback can end up connected to itself, holding the port for ever.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** Why a server could not listen on this port of 127.0.0.1 now (EADDRINUSE, EACCES); undefined if it could. */
export async function portFault(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      server.close(() => {
        resolve(undefined);
      });
    });
  });
}

/** Ports of 127.0.0.1 that are free at this moment; whoever binds them must be ready to be too late. */
export async function findFreePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = randomInt(LOWEST, HIGHEST);
    if (!found.has(port) && (await portFault(port)) === undefined) found.add(port);
  }
  return [...found];
}
