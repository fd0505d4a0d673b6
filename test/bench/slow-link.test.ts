import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SlowLink } from '../../bench/harness/slow-link.ts';

let server: Server;
let link: SlowLink | undefined;

beforeEach(async () => {
  // Sends everything back.
  server = createServer((socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  await link?.close();
  server.close();
});

async function open(roundTripMs: number, megabitsPerSecond: number): Promise<Socket> {
  const { port } = server.address() as AddressInfo;
  link = await SlowLink.open(0, port, { roundTripMs, megabitsPerSecond });
  const socket = connect(link.port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

async function echo(socket: Socket, bytes: Buffer): Promise<{ back: Buffer; elapsedMs: number }> {
  const startMs = performance.now();
  const chunks: Buffer[] = [];
  let received = 0;
  socket.write(bytes);
  while (received < bytes.length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    chunks.push(chunk);
    received += chunk.length;
  }
  return { back: Buffer.concat(chunks), elapsedMs: performance.now() - startMs };
}

describe('SlowLink', () => {
  it('takes a round trip from question to answer', async () => {
    const socket = await open(80, 1_000);
    const { back, elapsedMs } = await echo(socket, Buffer.from('ping'));
    expect(back.toString()).toBe('ping');
    expect(elapsedMs).toBeGreaterThanOrEqual(79);
    socket.destroy();
  });

  it('carries no more than its rate, and every byte in its place', async () => {
    const socket = await open(2, 16);
    const bytes = Buffer.from(Uint32Array.from({ length: 50_000 }, (_, i) => i).buffer);
    const { back, elapsedMs } = await echo(socket, bytes);
    expect(back.equals(bytes)).toBe(true);
    // 200 kB at 2 kB a millisecond, in each direction at the same time.
    expect(elapsedMs).toBeGreaterThanOrEqual(99);
    socket.destroy();
  });

  it('ends a connection when the other side ends', async () => {
    const socket = await open(2, 100);
    socket.resume().end();
    await once(socket, 'close');
  });
});
