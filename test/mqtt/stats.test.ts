import { describe, expect, it } from 'vitest';
import { ingressMetrics, storageMetrics } from '../../src/mqtt/stats.ts';
import { until } from '../support/until.ts';
import { publish, RawClient, startIngress, subscribe, type TestIngress } from './harness.ts';

/** Every sample by its name and labels, as /metrics has them. */
function samples({ ingress }: TestIngress): Map<string, number> {
  const found = new Map<string, number>();
  for (const metric of ingressMetrics(() => ingress.stats)) {
    const { name } = metric;
    const value = metric.read();
    if (typeof value === 'number') found.set(name, value);
    else for (const one of value) found.set(`${name} ${Object.values(one.labels).join()}`, one.value);
  }
  return found;
}

describe('the figures of connections and sessions', () => {
  it('say who is here, who is away, how connections ended, and what sessions hold', async () => {
    const test = await startIngress();
    test.sink.completing = true;
    const away = await RawClient.connect(test.port, { clientId: 'away', clean: false });
    away.send(subscribe(1, ['a', 1]));
    await away.receives('suback');
    away.drop();
    const broken = await RawClient.connect(test.port, { clientId: 'broken' });
    broken.send(Uint8Array.from([0xf0, 0]));
    await broken.closes();
    const here = await RawClient.connect(test.port, { clientId: 'here' });
    const { stats } = test.ingress;
    const isSettled = (): boolean =>
      stats.connections === 1 && stats.sessions === 2 && stats.absentSessions === 1;
    await until(isSettled, { everyMs: 1, what: 'the ends of two connections' });
    here.send(publish(1, 'a', 'for who is away'), publish(2, 'b', 'twice', { qos: 2 }));
    await here.receives('puback');
    await here.receives('pubrec');
    expect(Object.fromEntries(samples(test))).toMatchObject({
      sluice_mqtt_connections: 1,
      sluice_mqtt_connections_total: 3,
      'sluice_mqtt_connections_closed_total connection-lost': 1,
      'sluice_mqtt_connections_closed_total protocol-violation': 1,
      sluice_mqtt_sessions: 2,
      sluice_mqtt_absent_sessions: 1,
      sluice_mqtt_stored_subscriptions: 1,
      sluice_mqtt_queued_messages: 1,
      'sluice_mqtt_received_total 1': 1,
      'sluice_mqtt_acknowledged_total 2': 1,
      sluice_mqtt_in_flight: 0,
    });
  });

  it('have a name of their own each, a help text, and a number from the start', async () => {
    const test = await startIngress();
    const metrics = [...ingressMetrics(() => test.ingress.stats), ...storageMetrics(() => undefined)];
    expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length);
    for (const { name, help } of metrics) expect([name, help.endsWith('.')]).toEqual([name, true]);
    for (const [name, value] of samples(test)) expect([name, Number.isFinite(value)]).toEqual([name, true]);
  });
});
