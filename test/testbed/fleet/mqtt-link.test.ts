import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceLink, LinkOptions } from '../../../src/testbed/fleet/mqtt-link.ts';
import { openMqttLink } from '../../../src/testbed/fleet/mqtt-link.ts';
import { until as untilSlow } from '../../support/until.ts';
import { ScriptedBroker } from './scripted-broker.ts';

let broker: ScriptedBroker;
let links: DeviceLink[];
let events: string[];

beforeEach(async () => {
  broker = await ScriptedBroker.start();
  links = [];
  events = [];
});

afterEach(async () => {
  await Promise.all(links.map((link) => link.end(0)));
  await broker.stop();
});

function open(options: Partial<LinkOptions> = {}): DeviceLink {
  const link = openMqttLink(
    { url: broker.url, clientId: 'sensor-1', qos: 1, reconnectMs: 10, ...options },
    {
      up: () => events.push('up'),
      down: () => events.push('down'),
      refused: (reason) => events.push(`refused: ${reason}`),
      trouble: (message) => events.push(`trouble: ${message}`),
    },
  );
  links.push(link);
  return link;
}

const until = (condition: () => boolean, options: { what: string }): Promise<void> =>
  untilSlow(condition, { ...options, everyMs: 5 });

const happened = (event: string, count = 1): Promise<void> =>
  until(() => events.filter((each) => each === event).length >= count, { what: event });

describe('the MQTT link of a simulated device', () => {
  it('publishes, and settles a QoS 1 message when its PUBACK is there, not before', async () => {
    broker.acknowledges = false;
    const link = open();
    await happened('up');
    let settled = false;
    link.publish('a/b', Buffer.from('1'), () => (settled = true));
    await until(() => broker.payloads().length === 1, { what: 'the PUBLISH' });
    expect(broker.connections[0]!.publishes[0]).toMatchObject({ topic: 'a/b', qos: 1, retain: false });
    expect(settled).toBe(false);
    broker.acknowledge(broker.connections[0]!);
    await until(() => settled, { what: 'the acknowledgement' });
  });

  it('sends again after a lost connection what had no PUBACK, in order, and settles it once', async () => {
    broker.acknowledges = false;
    const link = open();
    await happened('up');
    const settled: string[] = [];
    for (const name of ['1', '2', '3']) link.publish('t', Buffer.from(name), () => settled.push(name));
    await until(() => broker.payloads().length === 3, { what: 'three PUBLISH' });
    broker.acknowledges = true;
    broker.crash();
    await happened('up', 2);
    expect(events.filter((event) => !event.startsWith('trouble'))).toEqual(['up', 'down', 'up']);
    expect(settled).toEqual(['1', '2', '3']);
    expect(broker.connections.at(-1)!.publishes.map(({ payload }) => payload.toString())).toEqual(settled);
  });

  it('is up again only after the resent messages are acknowledged, so that nothing new overtakes them', async () => {
    broker.acknowledges = false;
    const link = open();
    await happened('up');
    link.publish('t', Buffer.from('old'), () => {});
    await until(() => broker.payloads().length === 1, { what: 'the PUBLISH' });
    broker.crash();
    await until(() => broker.connections.length === 2 && broker.payloads().length === 2, {
      what: 'it again',
    });
    expect(events.filter((event) => event === 'up')).toHaveLength(1);
    broker.acknowledge(broker.connections[1]!);
    await happened('up', 2);
  });

  it('completes QoS 2 through PUBREC, PUBREL and PUBCOMP, with a session that lasts', async () => {
    const link = open({ qos: 2 });
    await happened('up');
    const done = Promise.withResolvers<unknown>();
    link.publish('t', Buffer.from('x'), done.resolve);
    expect(await done.promise).toBeUndefined();
    expect(broker.connections[0]!.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'publish', 'pubrel']);
    expect(broker.connections[0]!.connect).toMatchObject({ clean: false, clientId: 'sensor-1' });
  });

  it('settles QoS 0 messages when they are written, and fails those that a lost connection took along', async () => {
    const link = open({ qos: 0 });
    await happened('up');
    broker.connections[0]!.socket.pause();
    const errors: unknown[] = [];
    let published = 0;
    while (errors.length === published) {
      published++;
      link.publish('t', Buffer.alloc(4096), (error) => errors.push(error));
    }
    expect(errors.every((error) => error === undefined)).toBe(true);
    broker.crash();
    await until(() => errors.length === published, { what: 'the unwritten message to be settled' });
  });

  it('ends with a DISCONNECT', async () => {
    const link = open();
    await happened('up');
    await link.end(5000);
    await until(() => broker.connections[0]!.disconnected, { what: 'the DISCONNECT' });
    expect(events.filter((event) => event !== 'down')).toEqual(['up']);
  });

  it('ends within its time when acknowledgements are missing', async () => {
    broker.acknowledges = false;
    const link = open();
    await happened('up');
    link.publish('t', Buffer.from('x'), () => {});
    await link.end(20);
    await until(() => broker.connections[0]!.socket.destroyed, { what: 'the end of the connection' });
    expect(broker.connections).toHaveLength(1);
  });

  it('ends while it has no connection', async () => {
    const { url } = broker;
    await broker.stop();
    const link = open({ url });
    await until(() => events.some((event) => event.includes('ECONNREFUSED')), { what: 'the refusal' });
    await link.end(5000);
  });

  it.each([2, 4, 5])('gives up when the broker says a lasting no (return code %i)', async (code) => {
    broker.connack = code;
    open();
    await until(() => events.some((event) => event.startsWith('refused: Connection refused')), {
      what: 'the refusal',
    });
    expect(broker.connections).toHaveLength(1);
  });

  it('tries again when the broker is only unavailable (return code 3)', async () => {
    broker.connack = 3;
    open();
    await until(() => broker.connections.length >= 2, { what: 'another attempt' });
    broker.connack = 0;
    await happened('up');
    expect(events[0]).toBe('trouble: Connection refused: Server unavailable');
  });

  it('has the will of each connection, asked for once before it', async () => {
    let wills = 0;
    open({ will: () => ({ topic: 'wills', payload: Buffer.from(`will ${++wills}`) }) });
    await happened('up');
    broker.crash();
    await happened('up', 2);
    const found = broker.connections.map(({ connect }) => String(connect?.will?.payload));
    expect(found).toEqual(['will 1', 'will 2']);
  });

  it('subscribes to its commands in every connection, before anything is published there', async () => {
    const link = openMqttLink(
      { url: broker.url, clientId: 'sensor-1', qos: 1, reconnectMs: 10, commands: 'cmd/sensor-1' },
      {
        up: () => {
          link.publish('a/b', Buffer.from('1'), () => events.push('settled'));
          events.push('up');
        },
        down: () => events.push('down'),
        refused: () => undefined,
        trouble: () => undefined,
        command: (payload) => events.push(`command: ${Buffer.from(payload).toString()}`),
      },
    );
    links.push(link);
    // Acknowledged, so that nothing is sent again before the second connection is up.
    await happened('settled');
    broker.crash();
    await happened('settled', 2);
    expect(broker.connections).toHaveLength(2);
    for (const { packets } of broker.connections) {
      const order = packets.map(({ cmd }) => cmd);
      expect(order.indexOf('subscribe')).toBeGreaterThan(0);
      expect(order.indexOf('subscribe')).toBeLessThan(order.lastIndexOf('publish'));
    }
    broker.publish(broker.connections.at(-1)!, 'cmd/sensor-1', 'rebirth');
    await happened('command: rebirth');
  });
});
