import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { CONTRACTS } from '../../../src/core/contract.ts';
import type { DeviceProfile } from '../../../src/core/profile/profile.ts';
import type { Publication } from '../../../src/core/publication.ts';
import { NO_HEADERS, type SerializedRecord } from '../../../src/core/record.ts';
import type { Route } from '../../../src/core/route.ts';
import { loadMessageType } from '../../../src/decode/protobuf/message-type.ts';
import { readEnvelope } from '../../../src/decode/envelope/envelope.ts';
import { compileProfile } from '../../../src/decode/profile/compile-profile.ts';
import { TreeReader } from '../../../src/decode/formats/tree-reader.ts';

const ZOO = join(import.meta.dirname, '../schemas/zoo.proto');
const NOW = 1_767_225_600_000;

const base: DeviceProfile = {
  file: 'devices/test.yaml',
  type: 'test',
  topic: 'fleet/{site}/{device}/telemetry',
  decode: { kind: 'json' },
  device: { template: '{device}' },
  attributes: new Map([
    ['site', '{site}'],
    ['maker', 'acme'],
  ]),
  metrics: new Map([
    ['temperature', { field: 'temp', unit: 'Cel' }],
    ['door', { field: 'door' }],
  ]),
  produce: { topic: 'telemetry', value: 'normalised' },
  ack: CONTRACTS.kafka,
};

function faults(profile: Partial<DeviceProfile>): string[] {
  const result = compileProfile({ ...base, ...profile });
  if (!('faults' in result)) throw new Error('it was accepted');
  return result.faults.map(
    ({ path, found, expected }) => `${path.join('.')}: found ${found}, expected ${expected}`,
  );
}

function route(profile: Partial<DeviceProfile> = {}, site = 'oslo', device = 'd-1'): Route {
  const result = compileProfile({ ...base, ...profile });
  if ('faults' in result) throw new Error(JSON.stringify(result.faults));
  const captures = new Map([
    ['site', site],
    ['device', device],
  ]);
  return result.compiled.bind(captures, `fleet/${site}/${device}/telemetry`);
}

function publication(payload: string | Uint8Array): Publication {
  return {
    topic: { name: 'unused', id: 0 },
    payload: Buffer.from(payload as string),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    clientId: 'c',
    receivedAtMs: NOW,
  };
}

function convert(target: Route, payload: string | Uint8Array): SerializedRecord | string {
  const record: SerializedRecord = { topic: '', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
  const fault = target.toRecord(publication(payload), record);
  return fault === undefined ? record : `${fault.code}: ${fault.message}`;
}

function accepted(target: Route, payload: string | Uint8Array): SerializedRecord {
  const record = convert(target, payload);
  if (typeof record === 'string') throw new Error(record);
  return record;
}

function headers({ headers: bytes }: SerializedRecord): Record<string, string> {
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[position++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
  };
  const text = (): string => {
    const length = varint();
    position += length;
    return Buffer.from(bytes.subarray(position - length, position)).toString();
  };
  return Object.fromEntries(Array.from({ length: varint() }, () => [text(), text()] as const));
}

describe('a record', () => {
  test('has the normalised envelope, the device as key, and headers that say what it is', () => {
    const target = route();
    const record = accepted(target, '{"temp":21.5,"door":true,"other":[1]}');
    expect(target).toMatchObject({ profile: 'test', topic: 'telemetry', deadLetterTopic: 'telemetry.dlq' });
    expect(record).toMatchObject({ topic: 'telemetry', timestampMs: NOW, key: Buffer.from('d-1') });
    expect(headers(record)).toEqual({
      'mqtt.topic': 'fleet/oslo/d-1/telemetry',
      'device.type': 'test',
      'content-type': 'application/protobuf; proto=sluice.v1.Telemetry',
    });
    expect(readEnvelope(record.value!)).toEqual({
      deviceId: 'd-1',
      deviceType: 'test',
      attributes: new Map([
        ['site', 'oslo'],
        ['maker', 'acme'],
      ]),
      observedAtMs: undefined,
      receivedAtMs: NOW,
      sequence: undefined,
      metrics: [
        { name: 'temperature', unit: 'Cel', value: 21.5 },
        { name: 'door', unit: undefined, value: true },
      ],
    });
  });

  test('leaves out what the device left out, sent as null or could not express', () => {
    const metrics = (payload: string): string[] =>
      readEnvelope(accepted(route(), payload).value!).metrics.map(({ name }) => name);
    expect(metrics('{}')).toEqual([]);
    expect(metrics('{"temp":null,"door":false}')).toEqual(['door']);
    expect(metrics('{"temp":1e999,"door":false}')).toEqual(['door']);
  });

  test('of one message holds nothing of the message before', () => {
    const target = route({ sequence: { field: 'n' }, time: { field: 't', unit: 'ms' } });
    accepted(target, `{"temp":1,"door":true,"n":7,"t":${NOW}}`);
    expect(readEnvelope(accepted(target, '{"temp":2}').value!)).toMatchObject({
      observedAtMs: undefined,
      sequence: undefined,
      metrics: [{ name: 'temperature', value: 2 }],
    });
  });

  test('keeps no byte of the payload, which is a view on a socket’s buffer', () => {
    const type = loadMessageType(ZOO, 'zoo.Animal');
    const target = route({
      decode: { kind: 'protobuf', file: ZOO, message: 'zoo.Animal' },
      device: { field: 's' },
      metrics: new Map([['raw', { field: 'y' }]]),
    });
    const message = publication(type.encode({ s: 'dev', y: Buffer.from('bytes') }));
    const record: SerializedRecord = {
      topic: '',
      key: null,
      value: null,
      timestampMs: 0,
      headers: NO_HEADERS,
    };
    expect(target.toRecord(message, record)).toBeUndefined();
    message.payload.fill(0);
    expect(record.key).toEqual(Buffer.from('dev'));
    expect(readEnvelope(record.value!)).toMatchObject({
      deviceId: 'dev',
      metrics: [{ name: 'raw', value: Uint8Array.from(Buffer.from('bytes')) }],
    });
  });

  test('passes the payload through with `value: raw`, once it is known to be sound', () => {
    const target = route({ produce: { topic: 'raw-telemetry', value: 'raw' } });
    const record = accepted(target, '{"temp": 1}');
    expect(Buffer.from(record.value!).toString()).toBe('{"temp": 1}');
    expect(headers(record)['content-type']).toBe('application/json');
    expect(convert(target, '{"temp": 1')).toMatch(/^DECODE_FAILED/);
  });

  test('passes anything through with `decode: raw`, no bytes included', () => {
    const target = route({
      decode: { kind: 'raw' },
      metrics: new Map(),
      produce: { topic: 'raw-telemetry', value: 'raw' },
    });
    const record = accepted(target, Uint8Array.of(0, 255));
    expect(record.value).toEqual(Buffer.of(0, 255));
    expect(record.key).toEqual(Buffer.from('d-1'));
    expect(headers(record)['content-type']).toBe('application/octet-stream');
    expect(accepted(target, '').value).toHaveLength(0);
  });
});

describe('the key', () => {
  test('is a template of levels and the device, made once for a topic', () => {
    const target = route({ produce: { topic: 't', value: 'normalised', key: '{site}:{device}' } });
    const { key } = accepted(target, '{}');
    expect(key).toEqual(Buffer.from('oslo:d-1'));
    expect(accepted(target, '{}').key).toBe(key);
  });

  test('follows a device id that comes with the payload', () => {
    const target = route({ device: { field: 'id' } });
    const ids = ['a', 'b', 'b', 'Zoë'].map((id) => {
      const record = accepted(target, JSON.stringify({ id }));
      return [Buffer.from(record.key!).toString(), readEnvelope(record.value!).deviceId];
    });
    expect(ids).toEqual(['a', 'b', 'b', 'Zoë'].map((id) => [id, id]));
  });

  test.each([
    ['{"id":490154203237518}', '490154203237518'],
    ['{"id":"0042"}', '0042'],
  ])('of %s is %s', (payload, expected) => {
    expect(accepted(route({ device: { field: 'id' } }), payload).key).toEqual(Buffer.from(expected));
  });

  test('of a protobuf integer is its decimal text, exact', () => {
    const target = route({
      decode: { kind: 'protobuf', file: ZOO, message: 'zoo.Animal' },
      device: { field: 'u64' },
      metrics: new Map(),
    });
    const bytes = loadMessageType(ZOO, 'zoo.Animal').encode({ u64: 2n ** 64n - 1n });
    expect(accepted(target, bytes).key).toEqual(Buffer.from('18446744073709551615'));
  });
});

describe('event time', () => {
  const timed = { time: { field: 't', unit: 'ms' as const } };

  test.each([
    [NOW - 5_000, NOW - 5_000, undefined],
    [NOW + 1_800_000, NOW + 1_800_000, undefined],
    [NOW + 1_800_001, NOW, 'receipt'],
    [1_000, NOW, 'receipt'],
    [0, NOW, 'receipt'],
  ])('%s gives the record the timestamp %s', (t, timestampMs, header) => {
    const record = accepted(route(timed), `{"t":${t}}`);
    expect(record.timestampMs).toBe(timestampMs);
    expect(headers(record)['sluice.timestamp']).toBe(header);
    // The envelope keeps what the device said, however wrong.
    expect(readEnvelope(record.value!).observedAtMs).toBe(t === 0 ? undefined : t);
  });

  test('that a message lacks is the time of receipt, and the header says so', () => {
    expect(headers(accepted(route(timed), '{}'))['sluice.timestamp']).toBe('receipt');
    expect(headers(accepted(route(), '{}'))['sluice.timestamp']).toBeUndefined();
  });
});

describe('a message that can not become a record', () => {
  const sequenced = { sequence: { field: 'n' } };
  const timed = { time: { field: 't', unit: 'ms' as const } };
  const named = { device: { field: 'id' } };

  test.each([
    [{}, '', 'PAYLOAD_EMPTY: the payload is empty'],
    [{}, 'x', /^DECODE_FAILED: not JSON: /],
    [{}, '{"temp":{}}', 'FIELD_TYPE: field temp holds an object, expected a single value'],
    [timed, '{"t":"noon"}', 'FIELD_TYPE: field t holds no number, expected a time'],
    [
      sequenced,
      '{"n":-1}',
      'FIELD_TYPE: field n holds -1, expected a sequence number: a whole number from 0 to 2^53',
    ],
    [
      sequenced,
      '{"n":1.5}',
      'FIELD_TYPE: field n holds 1.5, expected a sequence number: a whole number from 0 to 2^53',
    ],
    [sequenced, '{"n":"1"}', 'FIELD_TYPE: field n holds no number, expected a sequence number'],
    [named, '{}', 'FIELD_MISSING: no device id: field id is absent or empty'],
    [named, '{"id":""}', 'FIELD_MISSING: no device id: field id is absent or empty'],
    [named, '{"id":true}', 'FIELD_TYPE: field id holds true, false or bytes, expected a device id'],
    [named, '{"id":1.5}', 'FIELD_TYPE: field id holds a number that is not whole, expected a device id'],
    [named, `{"id":"${'x'.repeat(513)}"}`, 'FIELD_TOO_LONG: the device id has 513 bytes, more than 512'],
  ])('%j with %s says why', (profile, payload, expected) => {
    expect(convert(route(profile), payload)).toEqual(
      typeof expected === 'string' ? expected : (expect.stringMatching(expected) as string),
    );
  });

  test('because its topic names no device', () => {
    expect(convert(route({}, 'oslo', ''), '{}')).toBe(
      "FIELD_MISSING: no device id: the topic's {device} is absent or empty",
    );
  });

  test('because the decoder itself is at fault', () => {
    const read = vi.spyOn(TreeReader.prototype, 'read').mockImplementation(() => {
      throw new Error('out of order');
    });
    const verdict = convert(route({}), '{}');
    read.mockRestore();
    expect(verdict).toBe('DECODER_ERROR: the decoder failed, please report it: out of order');
  });

  test('does not spoil the next one', () => {
    const target = route(named);
    expect(convert(target, '{"id":"a"}')).toBeTypeOf('object');
    expect(convert(target, '{"id":""}')).toBeTypeOf('string');
    expect(accepted(target, '{"id":"a"}').key).toEqual(Buffer.from('a'));
  });
});

describe('a profile that can not work', () => {
  test('names every field that the schema does not have, where the profile names it', () => {
    const protobuf = { kind: 'protobuf', file: ZOO, message: 'zoo.Animal' } as const;
    expect(
      faults({
        decode: protobuf,
        device: { field: 'y' },
        time: { field: 's', unit: 'ms' },
        sequence: { field: 'd' },
        metrics: new Map([['sound', { field: 'i32' }]]),
      }),
    ).toEqual([
      'device: found a field of type bytes, expected text or an integer',
      'time.field: found a field of type string, expected a number',
      'sequence.field: found a field of type number, expected an integer',
    ]);
    expect(
      faults({
        decode: protobuf,
        time: { field: 'when', unit: 'ms' },
        metrics: new Map([
          ['names', { field: 'names' }],
          ['counts', { field: 'counts' }],
        ]),
      }),
    ).toEqual([
      expect.stringMatching(
        /^time\.field: found no field when in zoo\.Animal, expected one of d, f, /,
      ) as string,
      'metrics.names.field: found names, expected an element of the list: names[n] or names[]',
      'metrics.counts.field: found counts, expected a value of the map: counts.<key>',
    ]);
  });

  test('names a schema file or message that is not there', () => {
    const missing = { kind: 'protobuf', file: '/nowhere/x.proto', message: 'X' } as const;
    expect(faults({ decode: missing })).toEqual([
      'decode.protobuf.file: found no file /nowhere/x.proto, expected a .proto file',
    ]);
    expect(faults({ decode: { ...missing, file: ZOO } })).toEqual([
      'decode.protobuf.message: found "X", expected a message of zoo.proto: zoo.Animal, zoo.Nested',
    ]);
  });

  test('names templates of levels that the topic does not have', () => {
    expect(
      faults({
        device: { template: '{imei}' },
        attributes: new Map([['site', '{sight}']]),
        produce: { topic: 't', value: 'normalised', key: '{site' },
      }),
    ).toEqual([
      'device: found {imei}, expected a level of the topic pattern: {site}, {device}',
      'attributes.site: found {sight}, expected a level of the topic pattern: {site}, {device}',
      'produce.key: found "{site", expected braces only as {name}, the name of letters, digits, _ and -',
    ]);
  });

  test('names a topic that is no pattern', () => {
    expect(faults({ topic: 'a/#/b', device: { field: 'id' }, attributes: new Map() })).toEqual([
      'topic: found "a/#/b", expected `#` as the last level only ([MQTT-4.7.1-2])',
    ]);
  });

  test('names what `decode: raw` can not give', () => {
    expect(faults({ decode: { kind: 'raw' } })).toEqual([
      'metrics.temperature.field: found temp, expected no fields, because `decode: raw` reads nothing',
      'metrics.door.field: found door, expected no fields, because `decode: raw` reads nothing',
      'produce.value: found normalised, expected raw, because `decode: raw` reads nothing',
    ]);
  });

  test('names a JSON path with an empty name in it', () => {
    expect(faults({ metrics: new Map([['a', { field: 'a..b' }]]) })).toEqual([
      'metrics.a.field: found "a..b", expected names with one dot between them, [n], ["name"] or []',
    ]);
  });
});
