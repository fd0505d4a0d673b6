import mqttPacket from 'mqtt-packet';
import type { IPublishPacket, Packet } from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeConnect, encodeRing } from '../../bench/load/frames.ts';
import { Load } from '../../bench/load/load.ts';
import type { LoadOptions } from '../../bench/load/load.ts';
import { jsonType, payloadOf } from '../testbed/fleet/profiles.ts';
import { ScriptedBroker } from '../testbed/fleet/scripted-broker.ts';
import type { BrokerConnection } from '../testbed/fleet/scripted-broker.ts';
import { until } from '../support/until.ts';

let broker: ScriptedBroker;
let load: Load;

beforeEach(async () => {
  broker = await ScriptedBroker.start();
});

afterEach(async () => {
  await broker.stop();
});

function make(options: Partial<LoadOptions>): Load {
  load = new Load({
    host: '127.0.0.1',
    port: broker.port,
    devices: 3,
    qos: 1,
    window: 10,
    rate: 0,
    types: [jsonType()],
    ...options,
  });
  return load;
}

function parseAll(bytes: Buffer): Packet[] {
  const packets: Packet[] = [];
  const parser = mqttPacket.parser();
  parser.on('packet', (packet: Packet) => packets.push(packet));
  parser.on('error', (error: Error) => {
    throw error;
  });
  parser.parse(bytes);
  return packets;
}

describe('encodeRing', () => {
  it.each([0, 1] as const)('writes PUBLISH packets that another parser reads the same (QoS %i)', (qos) => {
    const ring = encodeRing({ type: jsonType(), number: 1, qos, length: 300, nowMs: 1_700_000_000_000 });
    const packets = parseAll(ring.bytes) as IPublishPacket[];
    expect(packets).toHaveLength(300);
    for (const [i, packet] of packets.entries()) {
      expect(packet).toMatchObject({ cmd: 'publish', qos, dup: false, retain: false });
      expect(packet.topic).toMatch(/^fleet\/(north|south)\/load-sensor-0001\/telemetry$/);
      expect(packet.messageId).toBe(qos === 0 ? undefined : i + 1);
      expect(payloadOf(packet.payload as Buffer)).toMatchObject({ seq: i + 1 });
    }
  });

  it('connects with a clean session', () => {
    expect(parseAll(encodeConnect('load-1', 0))).toMatchObject([
      { cmd: 'connect', clientId: 'load-1', clean: true, keepalive: 0, protocolVersion: 4 },
    ]);
  });
});

describe('Load', () => {
  it('sends exactly what it is asked for and waits for every PUBACK', async () => {
    await make({}).connect();
    const warm = await load.run({ messages: 100 });
    const measured = await load.run({ messages: 2500 });
    expect(warm).toMatchObject({ sent: 100, acknowledged: 100, latency: { count: 100 } });
    expect(measured).toMatchObject({ sent: 2500, acknowledged: 2500, missed: 0, latency: { count: 2500 } });
    expect(broker.payloads()).toHaveLength(2600);
    await load.end();
    expect(broker.connections.every(({ disconnected }) => disconnected)).toBe(true);
  });

  it('never has more than its window in flight', async () => {
    broker.acknowledges = false;
    await make({ window: 7 }).connect();
    const done = load.run({ messages: 30 });
    await until(() => broker.payloads().length === 21, { what: 'three full windows', everyMs: 5 });
    for (const { publishes } of broker.connections) expect(publishes).toHaveLength(7);
    await acknowledgeUntil(done);
  });

  it('never reuses a packet identifier that is in flight, even if PUBACKs come out of order', async () => {
    broker.acknowledges = false;
    // A ring of 4 messages only: the identifiers 1 to 4.
    await make({ devices: 1, window: 2, framesInAll: 4 }).connect();
    const done = load.run({ messages: 20 });
    const [connection] = broker.connections as [BrokerConnection];
    // The first message is left unacknowledged: the window has room, but its identifier is next in the ring.
    await until(() => connection.publishes.length === 2, { what: 'two messages', everyMs: 5 });
    broker.acknowledge(connection, 1);
    await until(() => connection.publishes.length === 3, { what: 'the third', everyMs: 5 });
    broker.acknowledge(connection, 2);
    await until(() => connection.publishes.length === 4, { what: 'the fourth', everyMs: 5 });
    broker.acknowledge(connection, 3);
    broker.acknowledge(connection, 0);
    await until(() => connection.publishes.length === 6, { what: 'the next round', everyMs: 5 });
    expect(connection.publishes.map(({ messageId }) => messageId)).toEqual([1, 2, 3, 4, 1, 2]);
    broker.acknowledge(connection, 4);
    broker.acknowledge(connection, 5);
    await acknowledgeUntil(done, 6);
  });

  it('at QoS 0 has sent all when its end has come', async () => {
    await make({ qos: 0 }).connect();
    expect(await load.run({ messages: 5000 })).toMatchObject({ sent: 5000, acknowledged: 0 });
    await load.end();
    expect(broker.payloads()).toHaveLength(5000);
  });

  it('sends for as long as it is asked to, and then waits for every PUBACK', async () => {
    await make({}).connect();
    const { sent, acknowledged, elapsedMs } = await load.run({ seconds: 0.1 });
    expect(elapsedMs).toBeGreaterThan(95);
    expect(sent).toBeGreaterThan(0);
    expect(acknowledged).toBe(sent);
    expect(broker.payloads()).toHaveLength(sent);
  });

  it('keeps its pace, one message of one device after the other', async () => {
    // A window that a busy machine does not fill: a device whose window is full loses its turn to the next.
    await make({ devices: 5, rate: 500, window: 100 }).connect();
    const { sent, elapsedMs } = await load.run({ messages: 100 });
    expect(sent).toBe(100);
    expect(elapsedMs).toBeGreaterThan(195);
    for (const { publishes } of broker.connections) expect(publishes).toHaveLength(20);
  });

  it('fails, and does not hang, when the bridge refuses or breaks a connection', async () => {
    broker.connack = 5;
    await expect(make({}).connect()).rejects.toThrow('CONNACK return code 5');
    broker.connack = 0;
    broker.acknowledges = false;
    await make({}).connect();
    const run = load.run({ messages: 1000 });
    broker.crash();
    await expect(run).rejects.toThrow();
  });
});

/** Acknowledges what arrives, once each, until the load is done. */
async function acknowledgeUntil(done: Promise<unknown>, alreadyAcknowledged = 0): Promise<void> {
  let finished = false;
  void done.then(() => (finished = true));
  const acknowledged = new Map(broker.connections.map((each) => [each, alreadyAcknowledged]));
  await until(
    () => {
      for (const [connection, count] of acknowledged) {
        for (let i = count; i < connection.publishes.length; i++) broker.acknowledge(connection, i);
        acknowledged.set(connection, connection.publishes.length);
      }
      return finished;
    },
    { everyMs: 5, what: 'the end of the load' },
  );
}
