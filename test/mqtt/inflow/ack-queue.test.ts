import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AckQueue, AckWriter, Acknowledgements } from '../../../src/mqtt/inflow/acknowledgements.ts';
import { PacketType, ReasonCode, type Codec } from '../../../src/mqtt/protocol/codec.ts';
import { MQTT_3_1_1 } from '../../../src/mqtt/protocol/mqtt-3.ts';
import { IngressStats } from '../../../src/mqtt/stats.ts';
import type { Transport } from '../../../src/mqtt/edge/transport.ts';
import { range } from '../harness.ts';

const settle = (queue: AckQueue, sequence: number): boolean => queue.settle(sequence, ReasonCode.Success);

function drain(queue: AckQueue): number[] {
  const buffer = Buffer.alloc(4 * queue.size);
  const end = queue.drain(PacketType.Puback, MQTT_3_1_1, buffer, 0);
  return range(end / 4, 0).map((index) => {
    expect([buffer[4 * index], buffer[4 * index + 1]]).toEqual([0x40, 2]);
    return buffer.readUInt16BE(4 * index + 2);
  });
}

describe('AckQueue', () => {
  it('lets acknowledgements leave in the order in which they were opened, whatever is settled first', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 400 }), (choices) => {
        const queue = new AckQueue();
        const waiting: number[] = [];
        const left: number[] = [];
        let opened = 0;
        for (const choice of choices) {
          if (choice < 5) waiting.push(queue.open((opened++ % 65_535) + 1));
          else if (choice < 9 && waiting.length > 0) {
            const [sequence] = waiting.splice(choice % waiting.length, 1);
            expect(settle(queue, sequence!)).toBe(true);
            expect(settle(queue, sequence!)).toBe(false);
          } else left.push(...drain(queue));
        }
        for (const sequence of waiting) settle(queue, sequence);
        left.push(...drain(queue));
        expect(left).toEqual(range(opened));
        expect(queue.size).toBe(0);
      }),
    );
  });

  it('goes on past the point where sequences wrap', () => {
    const queue = new AckQueue(2 ** 28 - 50);
    const sequences = range(100).map((id) => queue.open(id));
    expect(Math.max(...sequences)).toBe(2 ** 28 - 1);
    for (const sequence of sequences.toReversed()) expect(settle(queue, sequence)).toBe(true);
    expect(drain(queue)).toEqual(range(100));
  });

  it('takes back what was opened last', () => {
    const queue = new AckQueue();
    const first = queue.open(1);
    queue.open(2);
    queue.withdraw();
    const third = queue.open(3);
    settle(queue, third);
    settle(queue, first);
    expect(drain(queue)).toEqual([1, 3]);
  });
});

describe('AckWriter', () => {
  class Wire implements Transport {
    readonly writes: Buffer[] = [];
    readableLength = 0;
    writableLength = 0;
    destroyed = false;
    write(bytes: Uint8Array): boolean {
      this.writes.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      return true;
    }
    pause(): void {}
    resume(): void {}
    end(): void {}
    destroy(): void {}
    once(): void {}
    on(): void {}
  }

  const settled = (from: number, count: number): Acknowledgements => {
    const acks = new Acknowledgements(MQTT_3_1_1);
    for (const id of range(count, from)) acks.of(1).settle(acks.of(1).open(id), ReasonCode.Success);
    return acks;
  };
  const ids = (bytes: Buffer): number[] =>
    range(bytes.length / 4, 0).map((at) => bytes.readUInt16BE(4 * at + 2));

  it('writes everything of one connection at once: PUBACKs, PUBRECs, PUBCOMPs', () => {
    const stats = new IngressStats();
    const wire = new Wire();
    const acks = settled(1, 3);
    acks.of(2).settle(acks.of(2).open(7), ReasonCode.Success);
    acks.release(9);
    new AckWriter(stats).write(acks, wire);
    expect(wire.writes.map((bytes) => bytes.toString('hex'))).toEqual([
      '40020001400200024002000350020007' + '70020009',
    ]);
    expect(stats.acknowledged).toEqual([0, 3, 1]);
    new AckWriter(stats).write(acks, wire);
    expect(wire.writes).toHaveLength(1);
  });

  it('hands the reason of each acknowledgement to the codec, and MQTT 3.1.1 has no place for it', () => {
    const reasons: number[] = [];
    const codec = Object.create(MQTT_3_1_1, {
      writeAck: {
        value: (...[type, packetId, reason, buffer, at]: Parameters<Codec['writeAck']>) => {
          reasons.push(reason);
          return MQTT_3_1_1.writeAck(type, packetId, reason, buffer, at);
        },
      },
    }) as Codec;
    const acks = new Acknowledgements(codec);
    const sequences = range(2).map((id) => acks.of(1).open(id));
    acks.of(1).settle(sequences[1]!, ReasonCode.NotAuthorized);
    acks.of(1).settle(sequences[0]!, ReasonCode.Success);
    const wire = new Wire();
    new AckWriter(new IngressStats()).write(acks, wire);
    expect(reasons).toEqual([ReasonCode.Success, ReasonCode.NotAuthorized]);
    expect(wire.writes[0]!.toString('hex')).toBe('4002000140020002');
  });

  it('does not touch bytes again that the kernel has not taken', () => {
    const writer = new AckWriter(new IngressStats());
    const stuck = new Wire();
    stuck.writableLength = 4;
    writer.write(settled(1, 10), stuck);
    for (const round of range(20)) writer.write(settled(1_000 * round, 900), new Wire());
    const quick = new Wire();
    writer.write(settled(1, 20_000), quick);
    expect(ids(stuck.writes[0]!)).toEqual(range(10));
    expect(ids(quick.writes[0]!)).toEqual(range(20_000));
  });
});
