import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { AdminServer } from '../../src/admin/admin-server.ts';
import { readinessOf, type Condition } from '../../src/admin/readiness.ts';
import type { Metric } from '../../src/core/metric.ts';

const open: AdminServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

async function startServer(conditions: Condition[], metrics: Metric[] = []): Promise<string> {
  const server = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    readiness: () => readinessOf(conditions),
    metrics: () => metrics,
  });
  open.push(server);
  await server.start();
  return `http://127.0.0.1:${server.port}`;
}

describe('the admin server', () => {
  it('is healthy while the process runs', async () => {
    const url = await startServer([]);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('names the worst devices, as many as asked for', async () => {
    const server = new AdminServer({
      host: '127.0.0.1',
      port: 0,
      readiness: () => readinessOf([]),
      metrics: () => [],
      devices: (worst) => [{ type: 'meter', worst }],
    });
    open.push(server);
    await server.start();
    const ask = async (query: string): Promise<unknown> =>
      (await fetch(`http://127.0.0.1:${server.port}/api/devices${query}`)).json();
    expect(await ask('?worst=3')).toEqual({ types: [{ type: 'meter', worst: 3 }] });
    expect(await ask('')).toEqual({ types: [{ type: 'meter', worst: 20 }] });
    expect(await ask('?worst=many')).toEqual({ types: [{ type: 'meter', worst: 20 }] });
    expect(await ask('?worst=1e9')).toEqual({ types: [{ type: 'meter', worst: 1_000 }] });
  });

  it('is ready only when every condition holds, and says why not', async () => {
    const conditions = [{ name: 'kafka', ready: false, reason: 'no broker answers' }];
    const url = await startServer(conditions);
    const refused = await fetch(`${url}/readyz`);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toEqual({ ready: false, conditions });
    conditions[0] = { name: 'kafka', ready: true, reason: 'connected' };
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('shows the figures as they are at the moment of the scrape', async () => {
    let produced = 3;
    const url = await startServer(
      [],
      [
        {
          name: 'sluice_test_total',
          help: 'A test.',
          kind: 'counter',
          labelNames: ['type'],
          read: () => [{ labels: { type: 'sensor' }, value: produced }],
        },
      ],
    );
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('sluice_test_total{type="sensor"} 3');
    produced = 5;
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('sluice_test_total{type="sensor"} 5');
  });

  it('names its paths to whoever asks for another one, and is only read', async () => {
    const url = await startServer([]);
    const missing = await fetch(`${url}/metric`);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({
      problem: 'nothing at /metric',
      paths: ['/healthz', '/readyz', '/metrics', '/api/devices', '/api/ledger', '/api/capture'],
    });
    expect((await fetch(`${url}/healthz`, { method: 'POST', body: 'x' })).status).toBe(405);
    const head = await fetch(`${url}/healthz`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await fetch(`${url}/healthz?a=1?b=2`)).status).toBe(200);
  });

  it('survives a figure that cannot be read, and says why', async () => {
    const url = await startServer(
      [],
      [
        {
          name: 'sluice_broken',
          help: 'A test.',
          kind: 'gauge',
          read: () => {
            throw new Error('it has gone');
          },
        },
      ],
    );
    const failed = await fetch(`${url}/metrics`);
    expect(failed.status).toBe(500);
    expect(await failed.json()).toEqual({ problem: 'it has gone' });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('ends with its last request still open', async () => {
    const lines = new Readable({ read: () => undefined });
    const server = new AdminServer({
      host: '127.0.0.1',
      port: 0,
      readiness: () => readinessOf([]),
      metrics: () => [],
      capture: () => ({ lines }),
    });
    await server.start();
    const endless = await fetch(`http://127.0.0.1:${server.port}/api/capture`);
    expect(endless.headers.get('content-type')).toBe('application/x-ndjson');
    const body = endless.text();
    await Promise.all([
      server.close(),
      expect(body).rejects.toThrow(),
      finished(lines).catch(() => undefined),
    ]);
    expect(lines.destroyed).toBe(true);
  });

  it('says what to do when its port is taken', async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    const { port } = squatter.address() as AddressInfo;
    const server = new AdminServer({
      host: '127.0.0.1',
      port,
      readiness: () => readinessOf([]),
      metrics: () => [],
    });
    await expect(server.start()).rejects.toMatchObject({
      code: 'ADMIN_PORT_IN_USE',
      message: expect.stringContaining(`${port}`) as string,
    });
    await new Promise((resolve) => squatter.close(resolve));
  });
});
