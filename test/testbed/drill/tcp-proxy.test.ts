import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/core/clock.ts';
import { TcpProxy, type TcpProxyOptions } from '../../../src/testbed/drill/tcp-proxy.ts';
import { until } from '../../support/until.ts';

let server: Server;
let proxy: TcpProxy;
/** What the server has received, and its ends of the connections. */
let received = '';
const ends: Socket[] = [];
const clients: Socket[] = [];

beforeEach(async () => {
  received = '';
  server = createServer((socket) => {
    ends.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
      socket.write(chunk.toString().toUpperCase());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  for (const socket of [...clients.splice(0), ...ends.splice(0)]) socket.destroy();
  await proxy.close();
  await new Promise((resolve) => server.close(resolve));
});

async function open(options: Partial<TcpProxyOptions> = {}): Promise<void> {
  const { port } = server.address() as AddressInfo;
  proxy = await TcpProxy.open({
    connect: () => connect({ host: '127.0.0.1', port, noDelay: true }),
    clock: systemClock,
    ...options,
  });
}

interface Client {
  readonly socket: Socket;
  readonly answer: () => string;
  readonly closed: () => boolean;
}

async function client(): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port: proxy.port });
  clients.push(socket);
  let answer = '';
  let closed = false;
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  // A refused connection may be reset before we hear that it was made.
  await once(socket, 'connect').catch(() => undefined);
  return { socket, answer: () => answer, closed: () => closed };
}

describe('a wire', () => {
  it('carries both directions, and the end of either', async () => {
    await open();
    const one = await client();
    one.socket.write('hello');
    await until(() => one.answer() === 'HELLO', { what: 'the answer' });
    one.socket.end();
    await until(() => proxy.connections === 0, { what: 'the end to arrive' });

    const other = await client();
    other.socket.write('x');
    await until(() => other.answer() === 'X', { what: 'the answer' });
    ends.at(-1)?.end();
    await until(() => other.closed() && proxy.connections === 0, { what: 'the end to arrive' });
  });

  it('that refuses resets connections, also those that come while it does', async () => {
    await open();
    const one = await client();
    one.socket.write('a');
    await until(() => one.answer() === 'A', { what: 'the answer' });
    proxy.setState({ kind: 'refused' });
    await until(() => one.closed(), { what: 'a reset' });
    const two = await client();
    await until(() => two.closed(), { what: 'a reset' });
    proxy.setState({ kind: 'open' });
    const three = await client();
    three.socket.write('c');
    await until(() => three.answer() === 'C', { what: 'the answer' });
    expect(received).toBe('ac');
  });

  it('that holds lets nothing pass, keeps connections, and delivers all of it afterwards', async () => {
    await open();
    const one = await client();
    proxy.setState({ kind: 'held' });
    const two = await client();
    one.socket.write('one');
    two.socket.write('two');
    await new Promise(setImmediate);
    expect(received).toBe('');
    proxy.setState({ kind: 'open' });
    await until(() => one.answer() === 'ONE' && two.answer() === 'TWO', { what: 'both answers' });
  });

  it('does not tell of an end while it holds, and tells afterwards', async () => {
    await open();
    const one = await client();
    one.socket.write('x');
    await until(() => one.answer() === 'X', { what: 'the answer' });
    proxy.setState({ kind: 'held' });
    one.socket.resetAndDestroy();
    await until(() => one.closed(), { what: 'the reset' });
    const [end] = ends;
    expect(end?.destroyed).toBe(false);
    proxy.setState({ kind: 'open' });
    await until(() => end?.destroyed === true && proxy.connections === 0, { what: 'the end to arrive' });
  });

  it('that is silent leaves dead for good what lost bytes, and serves new connections afterwards', async () => {
    await open();
    const [lossy, idle] = [await client(), await client()];
    for (const each of [lossy, idle]) {
      each.socket.write('x');
      await until(() => each.answer() === 'X', { what: 'the answer' });
    }
    received = '';
    proxy.setState({ kind: 'silent' });
    lossy.socket.write('swallowed');
    const during = await client();
    during.socket.write('swallowed too');
    await until(() => proxy.swallowedBytes === 'swallowedswallowed too'.length, {
      what: 'both to be swallowed',
    });
    proxy.setState({ kind: 'open' });

    idle.socket.write('y');
    await until(() => idle.answer() === 'XY', { what: 'the idle connection to work again' });
    lossy.socket.write('more');
    const fresh = await client();
    fresh.socket.write('z');
    await until(() => fresh.answer() === 'Z', { what: 'the answer' });
    expect({ received, answer: lossy.answer(), closed: lossy.closed() }).toEqual({
      received: 'yz',
      answer: 'X',
      closed: false,
    });
    lossy.socket.end();
    during.socket.end();
    await until(() => proxy.connections === 2, { what: 'dead connections to be given up by their client' });
  });

  it('makes connections half-open: their ends hear no more of each other, and new ones are whole', async () => {
    await open();
    const old = await client();
    old.socket.write('x');
    await until(() => old.answer() === 'X', { what: 'the answer' });
    proxy.silenceAll();
    old.socket.write('swallowed');
    const fresh = await client();
    fresh.socket.write('y');
    await until(() => fresh.answer() === 'Y', { what: 'the answer' });
    old.socket.destroy();
    await until(() => old.closed(), { what: 'the end on the near side' });
    proxy.setState({ kind: 'open' });
    fresh.socket.write('z');
    await until(() => fresh.answer() === 'YZ', { what: 'the answer' });
    expect({ received, farEndIsOpen: ends[0]?.destroyed === false }).toEqual({
      received: 'xyz',
      farEndIsOpen: true,
    });
  });

  it('that is slow delivers bytes late and in order', async () => {
    await open();
    const one = await client();
    proxy.setState({ kind: 'slow', delayMs: 20, bytesPerSecond: 100_000 });
    const text = 'abcdefghij'.repeat(200);
    for (const character of text) one.socket.write(character);
    await until(() => one.answer().length === text.length, { what: 'all of it' });
    expect(received).toBe(text);
    expect(one.answer()).toBe(text.toUpperCase());
  });

  it('lets what it delays pass at once when it is fast again', async () => {
    let taken = 0;
    const toTarget = (bytes: Buffer): { bytes: Buffer } => {
      taken += bytes.length;
      return { bytes };
    };
    await open({ translation: () => ({ toTarget, toClient: (bytes) => ({ bytes }) }) });
    const one = await client();
    proxy.setState({ kind: 'slow', delayMs: 3_600_000, bytesPerSecond: 1 });
    one.socket.write('late');
    await until(() => taken === 4, { what: 'the proxy to take it' });
    expect(received).toBe('');
    proxy.setState({ kind: 'open' });
    await until(() => one.answer() === 'LATE', { what: 'the answer' });
  });

  it('does not read a sender without bound while the receiver is slow', async () => {
    await open();
    const one = await client();
    proxy.setState({ kind: 'slow', delayMs: 0, bytesPerSecond: 1_000 });
    let written = 0;
    const chunk = Buffer.alloc(256 * 1024, 'x');
    while (one.socket.writableLength < 4 * chunk.length && written < 1_000) {
      one.socket.write(chunk);
      written++;
      await new Promise(setImmediate);
    }
    // One MiB in the proxy and what the two kernels hold; not the 250 MB that were on offer.
    expect(written).toBeLessThan(200);
  });

  it('resets a connection whose translation throws, and no other', async () => {
    await open({
      translation: () => ({
        toTarget(bytes) {
          if (bytes.includes('bad')) throw new Error('bad');
          return { bytes };
        },
        toClient: (bytes) => ({ bytes }),
      }),
    });
    const [good, bad] = [await client(), await client()];
    bad.socket.write('bad');
    await until(() => bad.closed(), { what: 'a reset' });
    good.socket.write('good');
    await until(() => good.answer() === 'GOOD', { what: 'the answer' });
  });

  it('delivers what stands before a cut, and resets behind it', async () => {
    await open({
      translation: () => ({
        toTarget: (bytes) => ({ bytes: bytes.subarray(0, 2), thenReset: true }),
        toClient: (bytes) => ({ bytes }),
      }),
    });
    const one = await client();
    one.socket.write('abcdef');
    await until(() => one.closed() && received === 'ab', { what: 'the cut' });
  });

  it('ends the client when nobody listens behind it', async () => {
    const nobody = createServer();
    await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve));
    const { port } = nobody.address() as AddressInfo;
    await new Promise((resolve) => nobody.close(resolve));
    await open({ connect: () => connect({ host: '127.0.0.1', port }) });
    const one = await client();
    await until(() => one.closed() && proxy.connections === 0, { what: 'the end' });
  });
});
