import fc from 'fast-check';
import { generate, parser, type Packet } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { isTopicName } from '../../src/mqtt/topics/topic-table.ts';
import { connectPacket, HeldSink, publish, range, subscribe } from './harness.ts';
import { newHub, turns, Wire } from './hub-rig.ts';

function parsed(wire: Wire): Packet[] {
  const packets: Packet[] = [];
  const reader = parser({ protocolVersion: 4 });
  reader.on('packet', (packet) => packets.push(packet));
  reader.parse(Buffer.concat(wire.written));
  return packets;
}

const PUBACK = 0x40;
const PUBREC = 0x50;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('send' as const), bytes: fc.integer({ min: 1, max: 400 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('complete' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('room' as const), room: fc.nat({ max: 5 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'turn' as const }) },
);

describe('a connection', () => {
  it('hands over everything once and in order, and acknowledges in order, whatever happens in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(0, 1, 2), fc.nat({ max: 60 }), fc.nat({ max: 4 })), {
          maxLength: 60,
        }),
        fc.array(step, { maxLength: 150 }),
        async (messages, steps) => {
          const { hub, sink, stats, broker } = await newHub(
            { inflightQuota: 4, readAheadBytes: 500 },
            new HeldSink(),
          );
          const wire = new Wire();
          const receive = hub.accept(wire, 'test:1');
          const packets = messages.map(([qos, size, topic], index) =>
            publish(index + 1, `t/${topic}`, `${index + 1}:${'x'.repeat(size)}`, { qos: qos }),
          );
          let rest = Buffer.concat([
            generate(connectPacket()),
            ...packets.flatMap((packet, index) => [
              ...(index % 9 === 5 ? [generate(subscribe(1, ['nothing', 0]))] : []),
              generate(packet),
            ]),
          ]);
          const shared = Buffer.alloc(65_536);
          const order: string[] = [];
          const held: HeldSink['accepted'] = [];
          const collect = (): void => {
            for (const accepted of sink.accepted.splice(0)) {
              order.push(accepted.payload.split(':')[0]!);
              held.push(accepted);
            }
            expect(held.filter(({ qos }) => qos > 0).length).toBeLessThanOrEqual(4);
          };
          for (const each of steps) {
            if (each.kind === 'send' && !wire.paused) {
              const length = rest.copy(shared, 0, 0, each.bytes);
              rest = rest.subarray(length);
              if (length > 0) receive(shared.subarray(0, length));
              shared.fill(0xff, 0, length);
            } else if (each.kind === 'complete' && held.length > 0) {
              held.splice(each.which % held.length, 1)[0]!.complete();
            } else if (each.kind === 'room') sink.makeRoom(each.room);
            else await turns(1);
            collect();
          }
          sink.makeRoom();
          while (
            rest.length > 0 ||
            stats.inFlight + stats.parkedMessages > 0 ||
            order.length < messages.length
          ) {
            if (!wire.paused && rest.length > 0) {
              receive(rest.subarray(0, 300));
              rest = rest.subarray(300);
            }
            await turns(1);
            collect();
            for (const accepted of held.splice(0)) accepted.complete();
          }
          await turns();
          const idsOf = (qos: number): number[] =>
            messages.flatMap(([each], index) => (each === qos ? [index + 1] : []));
          expect(order).toEqual(range(messages.length).map(String));
          expect(wire.ids(PUBACK)).toEqual(idsOf(1));
          expect(wire.ids(PUBREC)).toEqual(idsOf(2));
          expect(stats.acknowledged).toEqual([0, 1, 2].map((qos) => idsOf(qos).length));
          expect(stats.parkedBytes).toBe(0);
          expect(wire.ended).toBe(false);
          hub.stopClock();
          await broker.close(Promise.resolve());
        },
      ),
      { numRuns: 150 },
    );
  });

  it('of a persistent session is sent its CONNACK first ([MQTT-3.2.0-1]), then every message once and in order', async () => {
    const { hub, sink, broker } = await newHub({}, new HeldSink());
    sink.completing = true;
    const away = connectPacket({ clientId: 'away', clean: false });
    const first = new Wire();
    hub.accept(first, 'test:1')(generate(away));
    const device = hub.accept(new Wire(), 'test:1');
    device(generate(connectPacket()));
    await turns();
    const subscriber = new Wire();
    const receive = hub.accept(subscriber, 'test:1');
    receive(generate(away));
    await turns();
    receive(generate(subscribe(1, ['a', 1])));
    await turns();
    subscriber.close();
    await turns();

    const back = new Wire();
    hub.accept(back, 'test:1')(generate(away));
    for (const id of range(40)) {
      device(generate(publish(id, 'a', String(id), { qos: id % 2 === 0 ? 0 : 1 })));
      if (id % 10 === 0) await turns(1);
      else await Promise.resolve();
    }
    await turns(20);
    const packets = parsed(back);
    expect(packets[0]).toMatchObject({ cmd: 'connack', sessionPresent: true });
    const payloads = packets.flatMap((packet) =>
      packet.cmd === 'publish' && packet.qos === 1 ? [Number(packet.payload)] : [],
    );
    expect(payloads).toEqual(range(20).map((index) => 2 * index - 1));
    hub.stopClock();
    await broker.close(Promise.resolve());
  });

  it('survives any bytes: nothing is thrown, nothing wrong is handed over, and no memory is left behind', async () => {
    const { hub, sink, stats, broker, clock } = await newHub({}, new HeldSink());
    const wellFormed = [
      generate(connectPacket()),
      generate(publish(1, 'a/b', 'hello')),
      generate(publish(2, 'a/c', 'x'.repeat(200), { qos: 2 })),
      generate({ cmd: 'pubrel', messageId: 2 }),
      generate(subscribe(3, ['a/#', 1], ['b/+', 0])),
      generate(publish(4, 'a/d', '', { retain: true })),
      generate({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a/#'] }),
      generate({ cmd: 'pingreq' }),
      generate(publish(6, '$SYS/x', 'x', { qos: 0 })),
      generate({ cmd: 'disconnect' }),
    ];
    const mutation = fc.record({ at: fc.nat(), xor: fc.integer({ min: 1, max: 255 }), drop: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...wellFormed), { maxLength: 12 }),
        fc.array(mutation, { maxLength: 3 }),
        fc.array(fc.nat({ max: 300 }), { maxLength: 6 }),
        async (packets, mutations, sizes) => {
          let bytes: Buffer = Buffer.concat([wellFormed[0]!, ...packets]);
          for (const { at, xor, drop } of mutations) {
            const place = at % bytes.length;
            bytes = drop
              ? Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)])
              : Buffer.from(bytes.with(place, bytes[place]! ^ xor));
          }
          const wire = new Wire();
          const receive = hub.accept(wire, 'test:1');
          for (const size of [...sizes, bytes.length]) {
            if (bytes.length === 0) break;
            receive(Buffer.from(bytes.subarray(0, size)));
            bytes = bytes.subarray(size);
            if (size % 3 === 0) await turns(2);
          }
          await turns();
          for (const { topic, packetId, qos } of sink.accepted) {
            expect(isTopicName(Buffer.from(topic)) && !topic.startsWith('$')).toBe(true);
            expect(packetId === 0).toBe(qos === 0);
          }
          sink.completeAll();
          await turns(2);
          wire.close();
          await turns();
          expect(stats).toMatchObject({ connections: 0, inFlight: 0, parkedMessages: 0, parkedBytes: 0 });
          expect(stats.closed['internal-error']).toBe(0);
        },
      ),
      { numRuns: 500 },
    );
    clock.advance(60_000);
    hub.stopClock();
    await broker.close(Promise.resolve());
  }, 30_000);
});
