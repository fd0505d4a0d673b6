import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { Int64 } from 'thrift';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SchemaRegistry } from '../../../src/producer/schema-registry/schema-registry.ts';
import { AvroDeserializer, AvroSerializer } from '../../../src/producer/serializers/avro.ts';
import { JsonDeserializer, JsonSerializer } from '../../../src/producer/serializers/json.ts';
import { ProtobufDeserializer, ProtobufSerializer } from '../../../src/producer/serializers/protobuf.ts';
import type { ProtobufType } from '../../../src/producer/serializers/protobuf.ts';
import { ThriftDeserializer, ThriftSerializer } from '../../../src/producer/serializers/thrift.ts';
import type { ThriftProtocol } from '../../../src/producer/serializers/thrift.ts';
import { RegistryServer } from '../schema-registry/registry-server.ts';
import { Reading, Sensor } from './sensor-thrift.ts';

const vectorFile = (name: string) => readFileSync(join(import.meta.dirname, 'vectors', name), 'utf8');

interface Framed {
  readonly id: number;
  /** What Confluent's own serializer wrote. */
  readonly framed: string;
}

interface SensorData {
  readonly device: string;
  readonly ts: string;
  readonly raw: string;
  readonly mac: string;
  readonly note: string | null;
  readonly readings: readonly { readonly name: string; readonly value: number }[];
}

const vectors = JSON.parse(vectorFile('python-vectors.json')) as {
  readonly avro: readonly (Framed & { readonly data: SensorData; readonly hex: string })[];
  readonly protobuf: readonly (Framed & {
    readonly data: Record<string, unknown>;
    readonly message: string;
    readonly hex: string;
  })[];
  readonly json: readonly (Framed & { readonly data: object })[];
  readonly thrift: readonly {
    readonly data: SensorData;
    readonly binary: string;
    readonly compact: string;
  }[];
};

const bytesOf = (hex: string) => Buffer.from(hex, 'hex');
const hexOf = (bytes: Uint8Array | null) => Buffer.from(bytes!).toString('hex');

let server: RegistryServer;
let registry: SchemaRegistry;

/** A registry whose first schema gets the id that Confluent's serializer was given. */
async function registryFrom(firstId: number): Promise<void> {
  registry.close();
  await server.stop();
  server = await new RegistryServer({ firstId }).start();
  registry = new SchemaRegistry({ url: server.url });
}

beforeEach(async () => {
  server = await new RegistryServer().start();
  registry = new SchemaRegistry({ url: server.url });
});

afterEach(async () => {
  registry.close();
  await server.stop();
});

describe('Avro', () => {
  const schema = vectorFile('sensor.avsc');
  const datumOf = (data: SensorData) => ({
    ...data,
    ts: BigInt(data.ts),
    raw: bytesOf(data.raw),
    mac: bytesOf(data.mac),
  });

  it("Avro is written and read as by Python's fastavro", () => {
    const serializer = new AvroSerializer({ schema, longs: 'bigint' });
    const deserializer = new AvroDeserializer<object>({ schema, longs: 'bigint' });
    for (const { data, hex } of vectors.avro) {
      expect(hexOf(serializer.serialize('t', datumOf(data)))).toBe(hex);
      expect({ ...deserializer.deserialize('t', bytesOf(hex)) }).toEqual(datumOf(data));
    }
  });

  it("Avro is framed as by Confluent's serializer", async () => {
    for (const { data, id, framed } of vectors.avro) {
      await registryFrom(id);
      const serializer = new AvroSerializer({ schema, registry, longs: 'bigint' });
      await serializer.prepare('t');
      expect(hexOf(serializer.serialize('t', datumOf(data)))).toBe(framed);
      const deserializer = new AvroDeserializer<object>({ registry, longs: 'bigint' });
      await deserializer.prepare('t', bytesOf(framed));
      expect({ ...deserializer.deserialize('t', bytesOf(framed)) }).toEqual(datumOf(data));
    }
  });
});

describe('Protobuf', () => {
  const schema = vectorFile('sensor.proto');
  const { root } = protobuf.parse(schema, { keepCase: true });
  const names = [
    'fleet.test.Sensor',
    'fleet.test.Alarm',
    'fleet.test.Sensor.Reading',
    'fleet.test.Sensor.Reading.Limits',
  ];
  const types = Object.fromEntries(
    names.map((name) => [name, root.lookupType(name) as ProtobufType<object>]),
  );
  const dataOf = (message: object) => protobuf.Message.prototype.toJSON.call(message as protobuf.Message);

  it("Protobuf is written and read as by Google's Python library", () => {
    for (const { message, data, hex } of vectors.protobuf) {
      const type = root.lookupType(message);
      const serializer = new ProtobufSerializer<protobuf.Message>({ type });
      expect(hexOf(serializer.serialize('t', type.fromObject(data)))).toBe(hex);
      const decoded = new ProtobufDeserializer<protobuf.Message>({ type }).deserialize('t', bytesOf(hex))!;
      expect(dataOf(decoded)).toEqual(dataOf(type.fromObject(data)));
    }
  });

  it("Protobuf is framed as by Confluent's serializer, nested messages too", async () => {
    for (const { message, data, id, framed } of vectors.protobuf) {
      await registryFrom(id);
      const type = root.lookupType(message);
      const serializer = new ProtobufSerializer<protobuf.Message>({ type, schema, registry });
      await serializer.prepare('t');
      expect(hexOf(serializer.serialize('t', type.fromObject(data)))).toBe(framed);
      const deserializer = new ProtobufDeserializer<object>({ registry, types });
      await deserializer.prepare('t', bytesOf(framed));
      expect(dataOf(deserializer.deserialize('t', bytesOf(framed))!)).toEqual(dataOf(type.fromObject(data)));
    }
  });
});

describe('JSON', () => {
  it("JSON is framed as by Confluent's serializer", async () => {
    for (const { data, id, framed } of vectors.json) {
      await registryFrom(id);
      const serializer = new JsonSerializer({ schema: vectorFile('sensor.schema.json'), registry });
      await serializer.prepare('t');
      expect(hexOf(serializer.serialize('t', data))).toBe(framed);
      expect(new JsonDeserializer({ framed: true }).deserialize('t', bytesOf(framed))).toEqual(data);
    }
  });
});

describe('Thrift', () => {
  const structOf = (data: SensorData) => {
    const sensor = Object.assign(new Sensor(), data, {
      ts: new Int64(hexOf64(BigInt(data.ts))),
      raw: bytesOf(data.raw),
      readings: data.readings.map((reading) => Object.assign(new Reading(), reading)),
    });
    return sensor;
  };
  const hexOf64 = (long: bigint) => BigInt.asUintN(64, long).toString(16).padStart(16, '0');
  const plain = (sensor: Sensor) =>
    Object.assign({}, sensor, {
      ts: (sensor.ts as Int64).buffer.toString('hex'),
      raw: sensor.raw.toString('hex'),
    });

  it.each<ThriftProtocol>(['binary', 'compact'])(
    "Thrift is written and read in the %s protocol as by Python's libraries",
    (protocol) => {
      const serializer = new ThriftSerializer<Sensor>(protocol);
      const deserializer = new ThriftDeserializer(Sensor, protocol);
      for (const vector of vectors.thrift) {
        expect(hexOf(serializer.serialize('t', structOf(vector.data)))).toBe(vector[protocol]);
        const read = deserializer.deserialize('t', bytesOf(vector[protocol]))!;
        expect(plain(read)).toEqual(plain(structOf(vector.data)));
      }
    },
  );
});
