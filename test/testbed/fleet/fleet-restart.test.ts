import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { silentLogger } from '../../../src/core/logger.ts';
import { Fleet } from '../../../src/testbed/fleet/fleet.ts';
import { FleetLedger } from '../../support/fleet-ledger.ts';
import { until } from '../../support/until.ts';
import { jsonType } from './profiles.ts';
import { ScriptedBroker } from './scripted-broker.ts';

const brokers: ScriptedBroker[] = [];

afterEach(async () => {
  await Promise.all(brokers.splice(0).map((broker) => broker.stop()));
});

async function startBroker(port?: number): Promise<ScriptedBroker> {
  const broker = await ScriptedBroker.start(port);
  brokers.push(broker);
  return broker;
}

describe('a fleet whose gateway is restarted', () => {
  it('finishes its count, with every message acknowledged once and in order', async () => {
    const before = await startBroker();
    const ledger = new FleetLedger();
    const fleet = new Fleet({
      url: before.url,
      devices: 5,
      rate: 0,
      qos: 1,
      count: 2000,
      window: 10,
      seed: 1,
      types: [jsonType()],
      clock: systemClock,
      logger: silentLogger,
      observer: ledger,
    });
    fleet.start();
    await until(() => fleet.snapshot().acknowledged >= 300, { what: 'some messages', everyMs: 1 });
    // Acknowledgements that are lost with the gateway: these messages come again.
    before.acknowledges = false;
    await until(() => fleet.snapshot().inFlight === 50, { what: 'full windows', everyMs: 1 });
    before.crash();
    await before.stop();
    expect(fleet.snapshot().sent).toBeLessThan(2000);
    const after = await startBroker(before.port);

    const summary = await fleet.done();
    expect(summary).toMatchObject({ sent: 2000, acknowledged: 2000, complete: true, lostConnections: 5 });
    const all = Array.from({ length: 400 }, (_, i) => i + 1);
    for (const account of ledger.accounts().values()) expect(account.acknowledged).toEqual(all);
    for (const { connect, publishes, disconnected } of after.connections) {
      const numbers = publishes.map(({ payload }) => (JSON.parse(payload.toString()) as { seq: number }).seq);
      expect(numbers, connect!.clientId).toEqual(numbers.toSorted((a, b) => a - b));
      expect(disconnected).toBe(true);
    }
  });
});
