import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { memoryBytes } from '../../src/testbed/drill/gateway-process.ts';
import { findFreePorts } from '../../src/testbed/local-kafka/ports.ts';
import { publish, RawClient, subscribe } from '../mqtt/harness.ts';
import { TestGateway } from '../support/gateway.ts';

const ATTACKERS = 60;
const FILTERS = 1_000;
const MOST_MORE_BYTES = 150 * 1024 * 1024;

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** SUBSCRIBEs of a thousand filters of a hundred levels, as small as they can be: 200 KB. */
function flood(attacker: number): ReturnType<typeof subscribe>[] {
  const filters = Array.from({ length: FILTERS }, (_, i) => {
    const levels = Array.from({ length: 98 }, (_, level) => String.fromCharCode(97 + ((i + level) % 26)));
    return [`${attacker}/${i}/${levels.join('/')}`, 1] as [string, 1];
  });
  return [0, 250, 500, 750].map((at) => subscribe(at + 1, ...filters.slice(at, at + 250)));
}

const portOf = (gateway: TestGateway): number => Number(new URL(gateway.mqttUrl).port);

describe('a gateway with a heap of 1 GB', () => {
  it('outlives clients that subscribe to all that they can think of, and so does its next start; a new device is served', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-flood-'));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    // Nobody is there: this is about sessions alone.
    const [closedPort] = await findFreePorts(1);
    const config = `kafka: { bootstrap.servers: '127.0.0.1:${closedPort}' }\nprofiles: none\nshutdown.timeout.ms: 5000\n`;
    const start = async (): Promise<TestGateway> => {
      const gateway = await TestGateway.start({
        folder,
        files: { 'sluice.yaml': config, 'none/local.yaml': LOCAL_PROFILE },
        environment: { NODE_OPTIONS: '--max-old-space-size=1024' },
      });
      cleanups.push(() => gateway.stop());
      return gateway;
    };
    const gateway = await start();
    const before = memoryBytes(gateway.pid).resident;
    for (let attacker = 0; attacker < ATTACKERS; attacker++) {
      const client = await RawClient.connect(portOf(gateway), {
        clientId: `attacker-${attacker}`,
        clean: false,
      });
      client.send(...flood(attacker));
      await client.receives('suback', 4);
    }
    expect(await gateway.metric('sluice_mqtt_subscriptions_refused_total')).toBeGreaterThan(0);
    expect(await gateway.metric('sluice_mqtt_filter_levels')).toBeLessThanOrEqual(100_000 + 32 * ATTACKERS);
    expect(memoryBytes(gateway.pid).resident - before).toBeLessThan(MOST_MORE_BYTES);
    await serves(gateway, 'honest-1');

    await gateway.kill9();
    const again = await start();
    expect(memoryBytes(again.pid).resident - before).toBeLessThan(MOST_MORE_BYTES);
    await serves(again, 'honest-2');
  });
});

const LOCAL_PROFILE = `
type: meter
topic: meters/{device}
decode: raw
device: '{device}'
produce: { topic: meters, key: '{device}' }
`;

/** A device that is new keeps a session, subscribes, and hears what is published for it. */
async function serves(gateway: TestGateway, clientId: string): Promise<void> {
  const device = await RawClient.connect(portOf(gateway), { clientId, clean: false });
  device.send(subscribe(1, [`devices/${clientId}/commands/#`, 1]));
  await device.receives('suback');
  expect(device.of('suback').map(({ granted }) => granted)).toEqual([[1]]);
  device.send(publish(1, `devices/${clientId}/commands/start`, 'now', { qos: 0 }));
  await device.receives('publish');
}
