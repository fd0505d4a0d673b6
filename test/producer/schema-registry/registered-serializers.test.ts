import protobuf from 'protobufjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SchemaRegistryError } from '../../../src/producer/schema-registry/requester.ts';
import { SchemaRegistry } from '../../../src/producer/schema-registry/schema-registry.ts';
import { recordNameStrategy, topicRecordNameStrategy } from '../../../src/producer/schema-registry/schema.ts';
import { AvroDeserializer, AvroSerializer } from '../../../src/producer/serializers/avro.ts';
import type { RegisteredAvroOptions } from '../../../src/producer/serializers/avro.ts';
import { JsonDeserializer, JsonSerializer } from '../../../src/producer/serializers/json.ts';
import { ProtobufDeserializer, ProtobufSerializer } from '../../../src/producer/serializers/protobuf.ts';
import { SelectingSerializer } from '../../../src/producer/serializers/serializer.ts';
import type { Deserializer, Serializer } from '../../../src/producer/serializers/serializer.ts';
import { RegistryServer } from './registry-server.ts';

let server: RegistryServer;
let registry: SchemaRegistry;

beforeEach(async () => {
  server = await new RegistryServer({ firstId: 258 }).start();
  registry = new SchemaRegistry({ url: server.url, retries: 0 });
});

afterEach(async () => {
  registry.close();
  await server.stop();
});

const record = (name: string, ...fields: object[]) => ({ type: 'record', name, namespace: 'fleet', fields });
const id = { name: 'id', type: 'int' };
const unit = { name: 'unit', type: 'string', default: 'Cel' };
const text = (schema: object) => JSON.stringify(schema);

async function send<T>(serializer: Serializer<T>, data: T, topic = 't'): Promise<Uint8Array> {
  await serializer.prepare?.(topic, data);
  return serializer.serialize(topic, data)!;
}

async function receive<T>(deserializer: Deserializer<T>, data: Uint8Array, topic = 't'): Promise<T> {
  await deserializer.prepare?.(topic, data);
  return deserializer.deserialize(topic, data)!;
}

const avro = (options: Partial<RegisteredAvroOptions> = {}) =>
  new AvroSerializer<object>({ registry, schema: record('Reading', id), ...options });

describe('a serializer with a schema registry', () => {
  it('a serializer with a schema registry registers its schema at the first record of a topic, and never waits again', async () => {
    const serializer = avro();
    expect(() => serializer.serialize('t', { id: 1 })).toThrow(
      expect.objectContaining({ code: 'SCHEMA_NOT_PREPARED', topic: 't' }),
    );
    expect(Buffer.from(await send(serializer, { id: 1 })).toString('hex')).toBe('000000010202');
    expect(serializer.prepare('t')).toBeUndefined();
    await expect(serializer.prepare('u')).resolves.toBeUndefined();
    expect(server.versions('t-value')).toEqual([text(record('Reading', id))]);
  });

  it('a serializer with a schema registry asks once however many records wait', async () => {
    const serializer = avro();
    await Promise.all([serializer.prepare('t'), serializer.prepare('t'), serializer.prepare('t')]);
    expect(server.requests).toEqual(['POST /subjects/t-value/versions']);
  });

  it('a serializer with a schema registry needs no registry for a tombstone', () => {
    expect(avro().serialize('t', null)).toBeNull();
    expect(new AvroDeserializer({ registry }).deserialize('t', null)).toBeNull();
  });

  it('a serializer with a schema registry tries again with the next record after a failure', async () => {
    const serializer = avro();
    server.faults.push({ status: 503, body: {} });
    await expect(serializer.prepare('t')).rejects.toThrow(
      expect.objectContaining({ code: 'SCHEMA_REGISTRY_UNAVAILABLE', retriable: true }),
    );
    await expect(send(serializer, { id: 1 })).resolves.toHaveLength(6);
  });

  it('a serializer with a schema registry names subjects after the topic and the part, the record, or both', async () => {
    await send(avro({ part: 'key' }), { id: 1 });
    await send(avro({ subjectNameStrategy: recordNameStrategy }), { id: 1 });
    await send(avro({ subjectNameStrategy: topicRecordNameStrategy }), { id: 1 });
    for (const subject of ['t-key', 'fleet.Reading', 't-fleet.Reading']) {
      expect(server.versions(subject)).toHaveLength(1);
    }
  });

  it('a serializer with a schema registry tells which part of a record it is for', () => {
    expect(avro().part).toBe('value');
    expect(avro({ part: 'key' }).part).toBe('key');
    expect(new AvroSerializer({ schema: 'int' }).part).toBeUndefined();
  });

  it('a serializer with a schema registry registers nothing when it must not: what is not there is an error', async () => {
    const serializer = avro({ autoRegisterSchemas: false });
    await expect(serializer.prepare('t')).rejects.toMatchObject({
      code: 'SCHEMA_NOT_FOUND',
      registryCode: 40401,
    });
    await send(avro(), { id: 1 });
    await expect(send(serializer, { id: 1 })).resolves.toHaveLength(6);
  });

  it('a serializer with a schema registry reports an incompatible schema as such', async () => {
    server.frozen.add('t-value');
    await expect(avro().prepare('t')).rejects.toThrow(SchemaRegistryError);
    await expect(avro().prepare('t')).rejects.toMatchObject({ code: 'SCHEMA_INCOMPATIBLE' });
  });

  it("a serializer with a schema registry writes by the subject's latest version when told to, and registers nothing", async () => {
    await send(avro(), { id: 1 });
    await send(avro({ schema: record('Reading', id, unit) }), { id: 1 });
    const requests = server.requests.length;
    const data = await send(avro({ useLatestVersion: true }), { id: 7 });
    expect(await receive(new AvroDeserializer({ registry }), data)).toEqual({ id: 7, unit: 'Cel' });
    expect(server.requests.slice(requests)).toEqual([
      'GET /subjects/t-value/versions/latest',
      'GET /schemas/ids/259',
    ]);
  });

  it('a serializer with a schema registry refuses to register and to use the latest version at once', () => {
    expect(() => avro({ useLatestVersion: true, autoRegisterSchemas: true })).toThrow(TypeError);
  });

  it('a serializer with a schema registry refuses a subject whose latest schema is of another kind', async () => {
    await registry.register('t-value', { type: 'JSON', text: '{}' });
    await expect(avro({ useLatestVersion: true }).prepare('t')).rejects.toMatchObject({
      code: 'UNUSABLE_SCHEMA',
    });
  });
});

describe('a deserializer with a schema registry', () => {
  it("a deserializer with a schema registry asks once for each writer's schema", async () => {
    const data = await send(avro(), { id: 1 });
    const deserializer = new AvroDeserializer({ registry });
    expect(() => deserializer.deserialize('t', data)).toThrow(
      expect.objectContaining({ code: 'SCHEMA_NOT_PREPARED' }),
    );
    await deserializer.prepare('t', data);
    expect(deserializer.prepare('t', data)).toBeUndefined();
    expect(deserializer.deserialize('t', data)).toEqual({ id: 1 });
  });

  it('a deserializer with a schema registry says so when data do not name a schema, or one that nobody knows', async () => {
    const deserializer = new AvroDeserializer({ registry });
    await expect(receive(deserializer, Buffer.from('{"id":1}'))).rejects.toMatchObject({
      code: 'UNKNOWN_MAGIC_BYTE',
    });
    await expect(receive(deserializer, Uint8Array.of(0, 0, 0, 0, 9, 2))).rejects.toMatchObject({
      code: 'SCHEMA_NOT_FOUND',
      registryCode: 40403,
    });
  });
});

describe('Avro in a schema registry', () => {
  it("Avro in a schema registry is read by the reader's schema, whatever it was written by", async () => {
    const old = await send(avro(), { id: 1 });
    const extra = record('Reading', id, unit, { name: 'raw', type: 'long' });
    const recent = await send(avro({ schema: extra }), { id: 2, unit: 'K', raw: 9 });
    const readerSchema = record('Reading', { name: 'id', type: 'double' }, unit);
    const deserializer = new AvroDeserializer({ registry, readerSchema });
    expect(await receive(deserializer, old)).toEqual({ id: 1, unit: 'Cel' });
    expect(await receive(deserializer, recent)).toEqual({ id: 2, unit: 'K' });
  });

  it('Avro in a schema registry passes over what the reader does not want, of whatever length it claims to be', async () => {
    const values = { name: 'values', type: { type: 'array', items: { type: 'map', values: 'long' } } };
    const data = await send(avro({ schema: record('Reading', values, id) }), {
      values: [{ a: 1 }, { b: -(2 ** 52) - 1 }],
      id: 7,
    });
    const deserializer = new AvroDeserializer({ registry, readerSchema: record('Reading', id) });
    expect(await receive(deserializer, data)).toEqual({ id: 7 });
    const claims = Uint8Array.of(...data.subarray(0, 5), 0x80, 0x80, 0x80, 0x80, 0x10, 1, 2);
    await expect(receive(deserializer, claims)).rejects.toThrow(/claims more items/);
    const all = await receive(new AvroDeserializer({ registry }), data);
    expect(all).toEqual({ values: [{ a: 1 }, { b: -(2 ** 52) - 1 }], id: 7 });
  });

  it('Avro in a schema registry reads a long that became a double', async () => {
    const data = await send(avro({ schema: 'long' }) as Serializer<unknown>, 2 ** 40);
    expect(await receive(new AvroDeserializer({ registry, readerSchema: 'double' }), data)).toBe(2 ** 40);
  });

  it('Avro in a schema registry refuses what can not be read by the reader’s schema, and says so at the first record', async () => {
    const data = await send(avro({ schema: 'string' }) as Serializer<unknown>, 'hi');
    await expect(receive(new AvroDeserializer({ registry, readerSchema: 'int' }), data)).rejects.toThrow(
      /int/,
    );
  });

  it('Avro in a schema registry uses types of other subjects', async () => {
    await registry.register('limits', {
      type: 'AVRO',
      text: text(record('Limits', { name: 'high', type: 'double' })),
    });
    const schema = record('Sensor', { name: 'limits', type: 'fleet.Limits' });
    const references = [{ name: 'fleet.Limits', subject: 'limits', version: 1 }];
    const serializer = avro({ schema, references, subjectNameStrategy: recordNameStrategy });
    const data = await send(serializer, { limits: { high: 80.5 } });
    expect(server.versions('fleet.Sensor')).toEqual([text(schema)]);
    expect(await receive(new AvroDeserializer({ registry }), data)).toEqual({ limits: { high: 80.5 } });
  });

  it("Avro in a schema registry writes plain bytes without Avro's length, as Confluent's Java serializer does", async () => {
    const data = await send(avro({ schema: 'bytes' }) as Serializer<Uint8Array>, Buffer.from([1, 2]));
    expect([...data.subarray(5)]).toEqual([1, 2]);
    expect(await receive(new AvroDeserializer({ registry }), data)).toEqual(Buffer.from([1, 2]));
  });
});

describe('Protobuf in a schema registry', () => {
  const schema =
    'syntax = "proto3"; package fleet; message Reading { int32 id = 1; } message Alarm { string text = 1; }';
  const { root } = protobuf.parse(schema);
  const reading = root.lookupType('fleet.Reading');
  const alarm = root.lookupType('fleet.Alarm');
  const types = { 'fleet.Reading': reading, 'fleet.Alarm': alarm };

  it('Protobuf in a schema registry tells the messages of a file apart', async () => {
    const deserializer = new ProtobufDeserializer<object>({ registry, types });
    const data = await send(new ProtobufSerializer<object>({ type: alarm, schema, registry }), {
      text: 'hot',
    });
    expect([...data.subarray(5)]).toEqual([2, 2, 10, 3, 104, 111, 116]);
    expect(await receive(deserializer, data)).toEqual(alarm.create({ text: 'hot' }));
    const other = await send(new ProtobufSerializer<object>({ type: reading, schema, registry }), { id: 1 });
    expect(await receive(deserializer, other)).toEqual(reading.create({ id: 1 }));
  });

  it('Protobuf in a schema registry refuses a message of a type that was not asked for', async () => {
    const data = await send(new ProtobufSerializer<object>({ type: alarm, schema, registry }), {
      text: 'hot',
    });
    const deserializer = new ProtobufDeserializer<object>({ registry, types: { 'fleet.Reading': reading } });
    await expect(receive(deserializer, data)).rejects.toMatchObject({
      code: 'UNEXPECTED_SCHEMA',
      message: "data from topic 't' is a fleet.Alarm, not one of fleet.Reading",
    });
    data[6] = 20;
    await expect(receive(deserializer, data)).rejects.toThrow(/of no message of its schema/);
    data[5] = 1;
    await expect(receive(deserializer, data)).rejects.toMatchObject({ code: 'DESERIALIZATION_FAILED' });
  });

  it("Protobuf in a schema registry finds the message's place in the latest version, wherever it moved to", async () => {
    await registry.register('t-value', {
      type: 'PROTOBUF',
      text: schema.replace('message Reading', 'message New {} $&'),
    });
    const data = await send(
      new ProtobufSerializer<object>({ type: alarm, schema, registry, useLatestVersion: true }),
      { text: 'a' },
    );
    expect([...data.subarray(5, 7)]).toEqual([2, 4]);
  });

  it('Protobuf in a schema registry says at once that the file has no such message', () => {
    const options = { type: reading, schema, registry };
    expect(() => new ProtobufSerializer<object>({ ...options, message: 'fleet.Ghost' })).toThrow(
      /fleet.Alarm/,
    );
    const anonymous = { encode: () => ({ finish: () => new Uint8Array(0) }), decode: () => ({}) };
    expect(() => new ProtobufSerializer<object>({ ...options, type: anonymous })).toThrow(/full name/);
  });
});

describe('JSON in a schema registry', () => {
  it('JSON in a schema registry names the schema after its title, and is read without a registry', async () => {
    const schema = { title: 'Reading', type: 'object' };
    const serializer = new JsonSerializer<object>({
      schema,
      registry,
      subjectNameStrategy: recordNameStrategy,
    });
    const data = await send(serializer, { grüße: 1 });
    expect(server.versions('Reading')).toEqual([text(schema)]);
    expect(new JsonDeserializer({ framed: true }).deserialize('t', data)).toEqual({ grüße: 1 });
    expect(() => new JsonDeserializer({ framed: true }).deserialize('t', Buffer.from('{"a":1}'))).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_MAGIC_BYTE' }),
    );
  });

  it('JSON in a schema registry needs a title for a subject with the record’s name', async () => {
    const serializer = new JsonSerializer({ schema: {}, registry, subjectNameStrategy: recordNameStrategy });
    await expect(serializer.prepare('t')).rejects.toMatchObject({
      code: 'UNUSABLE_SCHEMA',
      message: expect.stringContaining('title') as string,
    });
  });
});

describe('several schemas in one topic', () => {
  it('several schemas in one topic each keep a subject of their own', async () => {
    const readings = avro({ subjectNameStrategy: recordNameStrategy });
    const alarms = avro({ schema: record('Alarm', id), subjectNameStrategy: recordNameStrategy });
    const serializer = new SelectingSerializer<{ id: number; alarm: boolean }>(
      ({ alarm }) => (alarm ? alarms : readings),
      'value',
    );
    const first = await send(serializer, { id: 1, alarm: false });
    const second = await send(serializer, { id: 1, alarm: true });
    expect([first[4], second[4]]).toEqual([2, 3]);
    expect(serializer.prepare('t', { id: 2, alarm: true })).toBeUndefined();
    expect(server.versions('fleet.Alarm')).toHaveLength(1);
  });
});
