import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { AdminServer } from '../../src/admin/admin-server.ts';
import { readinessOf, type Condition } from '../../src/core/readiness.ts';
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
