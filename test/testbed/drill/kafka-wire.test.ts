import { describe, expect, it } from 'vitest';

import { AddressTranslation } from '../../../src/testbed/drill/kafka-wire.ts';
import {
  int16,
  int32,
  int64,
  int8,
  ProtocolReader,
  ProtocolWriter,
} from '../../../src/kafka/protocol/protocol-bytes.ts';
import { NegotiatedVersions } from '../../../src/kafka/protocol/api-versions.ts';
import { fetchMetadata } from '../../../src/kafka/protocol/requests.ts';
import { parseProduceResponse } from '../../../src/kafka/protocol/produce.ts';

const PROXY = { host: '127.0.0.1', port: 20_001 };

function translation(): AddressTranslation {
  return new AddressTranslation(({ host, port }) => {
    if (host === 'stranger') throw new Error('not to be known');
    return { host: PROXY.host, port: port + 1_000 };
  });
}

const framed = (...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([int32(body.length), body]);
};

const request = (api: number, version: number, correlationId: number): Buffer =>
  framed(int16(api), int16(version), int32(correlationId), int16(-1));

function metadata(version: number, correlationId: number, hosts: readonly string[]): Buffer {
  const flexible = version >= 9;
  const write = new ProtocolWriter(flexible);
  return framed(
    int32(correlationId),
    write.noTags(),
    ...(version >= 3 ? [int32(0)] : []),
    write.length(hosts.length),
    ...hosts.flatMap((host, index) => [
      int32(index + 1),
      write.string(host),
      int32(9_092 + index),
      ...(version >= 1 ? [write.string(index === 0 ? null : 'rack-b')] : []),
      write.noTags(),
    ]),
    Buffer.from('whatever follows'),
  );
}

describe('the addresses of brokers', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])(
    'in Metadata %i are those of their proxies, and nothing else is different',
    (version) => {
      const wire = translation();
      wire.toTarget(request(3, version, 7));
      const hosts = ['kafka-1.example.com', 'kafka-2.example.com'];
      const { bytes } = wire.toClient(metadata(version, 7, hosts));
      const reader = new ProtocolReader(bytes, version >= 9);
      expect(reader.int32()).toBe(bytes.length - 4);
      expect(reader.int32()).toBe(7);
      reader.tags();
      if (version >= 3) reader.int32();
      const brokers = reader.array(() => {
        const broker = [reader.int32(), reader.string(), reader.int32()];
        if (version >= 1) broker.push(String(reader.nullableString()));
        reader.tags();
        return broker;
      });
      const racks = version >= 1 ? [['null'], ['rack-b']] : [[], []];
      expect(brokers).toEqual([
        [1, PROXY.host, 10_092, ...(racks[0] ?? [])],
        [2, PROXY.host, 10_093, ...(racks[1] ?? [])],
      ]);
      expect(bytes.subarray(reader.position).toString()).toBe('whatever follows');
    },
  );

  it('are translated in an answer as the producer reads it', async () => {
    const wire = translation();
    wire.toTarget(request(3, 12, 1));
    const write = new ProtocolWriter(true);
    const answer = framed(
      int32(1),
      write.noTags(),
      int32(0),
      write.length(1),
      int32(5),
      write.string('kafka'),
      int32(9_092),
      write.string(null),
      write.noTags(),
      write.string('cluster'),
      int32(5),
      write.length(0),
      write.noTags(),
    );
    const { bytes } = wire.toClient(answer);
    const { brokers, topics } = await fetchMetadata(
      {
        request: () => Promise.resolve(bytes.subarray(9)),
        versions: new NegotiatedVersions('test', new Map([[3, [0, 12]]])),
      },
      [],
    );
    expect({ brokers, topics }).toEqual({
      brokers: [{ nodeId: 5, host: '127.0.0.1', port: 10_092 }],
      topics: [],
    });
  });

  it('are left out of an answer to Produce that names a new leader; who leads is kept', () => {
    const wire = translation();
    wire.toTarget(request(0, 11, 3));
    const write = new ProtocolWriter(true);
    const tagged = (tag: number, ...content: readonly Uint8Array[]): Buffer => {
      const bytes = Buffer.concat(content);
      return Buffer.concat([Buffer.of(1, tag, bytes.length), bytes]);
    };
    const topic = [
      write.string('telemetry'),
      write.length(1),
      int32(0),
      int16(6), // NOT_LEADER_OR_FOLLOWER
      int64(-1n),
      int64(-1n),
      int64(-1n),
      write.length(0),
      write.string(null),
      tagged(0, int32(2), int32(9), write.noTags()),
      write.noTags(),
    ];
    const endpoint = [int32(2), write.string('kafka-2'), int32(9_093), write.string(null), write.noTags()];
    const answer = framed(
      int32(3),
      write.noTags(),
      write.length(1),
      ...topic,
      int32(0),
      tagged(0, write.length(1), ...endpoint),
    );
    const { bytes } = wire.toClient(answer);
    expect(bytes.readInt32BE(0)).toBe(bytes.length - 4);
    const batch = { queue: { topic: 'telemetry', partition: 0 } };
    const api = { key: 0, version: 11, requestTags: true, responseTags: true };
    const { partitions, endpoints } = parseProduceResponse(api, bytes.subarray(9), [
      batch,
    ] as unknown as Parameters<typeof parseProduceResponse>[2]);
    expect(endpoints).toEqual([]);
    expect(partitions[0]).toMatchObject({ errorCode: 6, currentLeader: { leaderId: 2, leaderEpoch: 9 } });
  });

  it('pass byte for byte in everything else, in whatever pieces it comes', () => {
    const wire = translation();
    const asked = [request(18, 3, 1), request(36, 2, 2), request(0, 9, 3)];
    const answers = [1, 2, 3].map((id) => framed(int32(id), int8(id), Buffer.alloc(50, id)));
    for (const byte of Buffer.concat(asked)) {
      expect(wire.toTarget(Buffer.of(byte)).bytes).toEqual(Buffer.of(byte));
    }
    const passed = [...Buffer.concat(answers)].map((byte) => wire.toClient(Buffer.of(byte)).bytes);
    expect(Buffer.concat(passed)).toEqual(Buffer.concat(answers));
  });

  it('that the map refuses never reach the client', () => {
    const wire = translation();
    wire.toTarget(request(3, 12, 7));
    expect(() => wire.toClient(metadata(12, 7, ['stranger']))).toThrow('not to be known');
  });

  it('in a version that is not known are not let through', () => {
    const wire = translation();
    wire.toTarget(request(3, 14, 7));
    expect(() => wire.toClient(metadata(13, 7, ['kafka']))).toThrow(RangeError);
  });
});
