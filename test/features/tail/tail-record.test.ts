import { describe, expect, it } from 'vitest';
import {
  contentOf,
  isFromDevice,
  recordJson,
  tailedRecord,
  textOf,
  type TailedRecord,
} from '../../../src/features/tail/tail-record.ts';
import { PROTOBUF_CONTENT_TYPE } from '../../../src/decode/envelope/envelope-protobuf.ts';
import { loadMessageType } from '../../../src/decode/protobuf/message-type.ts';

const envelope = loadMessageType('proto/sluice/v1/telemetry.proto', 'sluice.v1.Telemetry');

const telemetryBytes = envelope.encode({
  device_id: 'env-sensor-0001',
  device_type: 'env-sensor',
  attributes: { site: 'oslo' },
  observed_at_ms: 1_700_000_000_000,
  received_at_ms: 1_700_000_000_020,
  sequence: 7,
  metrics: [
    { name: 'temperature', unit: 'Cel', double_value: 21.5 },
    { name: 'total', uint_value: 2n ** 63n },
    { name: 'raw', bytes_value: Buffer.from([1, 2]) },
    { name: 'ok', bool_value: false },
  ],
});

function record(overrides: Partial<TailedRecord>): TailedRecord {
  return {
    topic: 'telemetry',
    partition: 3,
    offset: '12',
    timestampMs: 1_700_000_000_000,
    key: Buffer.from('env-sensor-0001'),
    value: null,
    headers: new Map(),
    ...overrides,
  };
}

const telemetry = record({
  value: telemetryBytes,
  headers: new Map([['content-type', PROTOBUF_CONTENT_TYPE]]),
});
const deadLetter = record({
  topic: 'telemetry.dlq',
  key: Buffer.from('fleet/oslo/env-sensor-0001/telemetry'),
  value: Buffer.from([0xff, 0x00]),
  headers: new Map([
    ['error.code', 'DECODE_FAILED'],
    ['error.message', 'invalid wire type 7'],
    ['mqtt.topic', 'fleet/oslo/env-sensor-0001/telemetry'],
  ]),
});

const json = (each: TailedRecord): unknown => JSON.parse(recordJson(each, contentOf(each)));

describe('sluice tail --json', () => {
  it('shows telemetry with partition, offset, key, headers and every metric by its name', () => {
    expect(json(telemetry)).toEqual({
      topic: 'telemetry',
      partition: 3,
      offset: 12,
      timestamp: 1_700_000_000_000,
      key: 'env-sensor-0001',
      headers: { 'content-type': PROTOBUF_CONTENT_TYPE },
      telemetry: {
        deviceId: 'env-sensor-0001',
        deviceType: 'env-sensor',
        attributes: { site: 'oslo' },
        observedAtMs: 1_700_000_000_000,
        receivedAtMs: 1_700_000_000_020,
        sequence: 7,
        metrics: {
          temperature: { value: 21.5, unit: 'Cel' },
          total: { value: '9223372036854775808' },
          raw: { value: 'AQI=' },
          ok: { value: false },
        },
      },
    });
  });

  it('shows a dead letter with its reason and its original bytes', () => {
    expect(json(deadLetter)).toMatchObject({
      deadLetter: {
        code: 'DECODE_FAILED',
        reason: 'invalid wire type 7',
        mqttTopic: 'fleet/oslo/env-sensor-0001/telemetry',
      },
      base64: '/wA=',
    });
  });

  it('shows JSON as JSON, text as text, other bytes as base64, and a tombstone as null', () => {
    expect(json(record({ value: Buffer.from('{"a":[1]}') }))).toMatchObject({ value: { a: [1] } });
    expect(json(record({ value: Buffer.from('hello') }))).toMatchObject({ value: 'hello' });
    expect(json(record({ value: Buffer.from([0, 255]) }))).toMatchObject({ base64: 'AP8=' });
    expect(json(record({ value: null, key: null }))).toMatchObject({ value: null, key: null });
  });
});

describe('contentOf', () => {
  it('does not fail on a record that only claims to be telemetry', () => {
    const liar = { ...telemetry, value: Buffer.from([0xff, 0xff]) };
    expect(contentOf(liar)).toEqual({
      kind: 'bytes',
      note: 'its header says it is telemetry, but it is not',
    });
  });

  it('takes a telemetry record without a value for what it is', () => {
    expect(contentOf({ ...telemetry, value: null }).kind).toBe('tombstone');
  });
});

describe('sluice tail --device', () => {
  const concerns = (each: TailedRecord, device: string): boolean =>
    isFromDevice(each, contentOf(each), device);

  it('finds telemetry by its device, dead letters by their topic, other records by their key', () => {
    expect(concerns(telemetry, 'env-sensor-0001')).toBe(true);
    expect(concerns(deadLetter, 'env-sensor-0001')).toBe(true);
    expect(concerns(record({ value: Buffer.from('x') }), 'env-sensor-0001')).toBe(true);
    for (const each of [telemetry, deadLetter, record({ value: Buffer.from('x') })]) {
      expect(concerns(each, 'env-sensor-000')).toBe(false);
    }
  });
});

describe('tailedRecord', () => {
  it('reads headers as text, the first of a name that repeats', () => {
    const headers = [
      { key: 'a', value: Buffer.from('1') },
      { key: 'b', value: Buffer.from('2') },
      { key: 'b', value: Buffer.from('3') },
      { key: 'c', value: null },
    ];
    const record = { key: null, value: null, timestampMs: 5, offset: 9_007_199_254_740_993n, headers };
    const read = tailedRecord('t', 1, record);
    expect(read).toMatchObject({ topic: 't', partition: 1, offset: '9007199254740993', timestampMs: 5 });
    expect(read.headers).toEqual(
      new Map([
        ['a', '1'],
        ['b', '2'],
      ]),
    );
  });
});

describe('textOf', () => {
  it('tells text from bytes', () => {
    expect(textOf(Buffer.from('grüße\n'))).toBe('grüße\n');
    expect(textOf(Buffer.from([0x61, 0x00]))).toBeUndefined();
    expect(textOf(Buffer.from([0xc3]))).toBeUndefined();
  });
});
