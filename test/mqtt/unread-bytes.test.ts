import { expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { publish, RawClient, range, startIngress } from './harness.ts';

it('connections that flood while nothing is passed on are ended, the largest first, until the memory suffices', async () => {
  const memoryLimitBytes = 1_048_576;
  const { port, sink, ingress, clock } = await startIngress({ memoryLimitBytes });
  const { stats } = ingress;
  sink.room = 0;
  const calm = await RawClient.connect(port, { clientId: 'calm' });
  calm.send(publish(1, 'a', 'calm'));
  const devices = await Promise.all(
    range(40).map((id) => RawClient.connect(port, { clientId: `flood ${id}` })),
  );
  const payload = 'x'.repeat(10_000);
  for (const device of devices) device.send(...range(30).map((id) => publish(id, 'a', payload)));
  await until(
    () => {
      // What Node has read by itself is looked up with the clock.
      clock.advance(500);
      return stats.closed['out-of-memory'] > 0 && stats.unreadBytes > 0;
    },
    { everyMs: 5 },
  );
  await until(
    () => {
      clock.advance(500);
      return stats.parkedBytes + stats.unreadBytes <= memoryLimitBytes;
    },
    { everyMs: 5 },
  );
  expect(stats.closed['out-of-memory']).toBeLessThan(devices.length);
  expect(calm.closed).toBe(false);
  sink.completing = true;
  sink.makeRoom();
  await calm.receives('puback');
  const alive = devices.filter((device) => !device.closed);
  await until(() => alive.every((device) => device.closed || device.ids('puback').length === 30), {
    everyMs: 5,
  });
  expect(alive.some((device) => device.ids('puback').length === 30)).toBe(true);
  await until(() => stats.parkedBytes === 0, { everyMs: 5 });
});
