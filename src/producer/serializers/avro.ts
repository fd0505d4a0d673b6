import { TopicSchemas, WriterSchemas } from '../schema-registry/bound-schemas.ts';
import type { BoundSchema, RegistrySerializerOptions } from '../schema-registry/bound-schemas.ts';
import { FRAME_BYTES, framePrefix, readSchemaId } from '../schema-registry/confluent-framing.ts';
import type { SchemaRegistry } from '../schema-registry/schema-registry.ts';
import type { SchemaReference } from '../schema-registry/schema.ts';
import { avroName, avroSchemaText, avroType, firstMisfit } from './avro-types.ts';
import type { AvroOptions, AvroSchema, AvroType } from './avro-types.ts';
import { RegistrySerializer } from './registry-serializer.ts';
import { asBuffer, cannotDeserialize, type Deserializer } from './serializer.ts';

export interface AvroSerializerOptions extends AvroOptions {
  readonly schema: AvroSchema;
}

/** Avro in Confluent's wire format, its schema in a registry. */
export interface RegisteredAvroOptions extends AvroSerializerOptions, RegistrySerializerOptions {
  /** Where the named types that the schema uses and doesn't define are registered; `name` is the type's full name. */
  readonly references?: readonly SchemaReference[];
}

/** One datum of many megabytes must not occupy them for ever. */
const MAX_SCRATCH_BYTES = 1024 * 1024;

interface Encoder {
  readonly type: AvroType;
  readonly prefix: Uint8Array;
  /** Confluent's Java serializer writes a schema that is just `bytes` without Avro's length in front. */
  readonly plainBytes: boolean;
}

/**
 * Avro's binary encoding, without a container file's header: both sides know the schema, or its id stands in front.
 * Records, maps, arrays and enums are plain objects, arrays and strings; bytes are a Uint8Array.
 */
export class AvroSerializer<T = unknown> extends RegistrySerializer<T, Encoder> {
  /** Where a datum is written before its length is known; grows with the data, within reason. */
  #scratch: Buffer = Buffer.allocUnsafeSlow(1024);

  /** @throws Error if the schema is none, or the registry's options contradict each other */
  constructor(options: AvroSerializerOptions | RegisteredAvroOptions) {
    if ('registry' in options) super(topicSchemas(options));
    else super(undefined, plainEncoder(options));
  }

  protected formatOf({ type }: Encoder): string {
    return `Avro (${avroName(type)})`;
  }

  protected encode(data: T, { type, prefix, plainBytes }: Encoder): Uint8Array {
    if (plainBytes && data instanceof Uint8Array) return Buffer.concat([prefix, data]);
    try {
      return this.#write(data, type, prefix);
    } catch (error) {
      const misfit = firstMisfit(type, data);
      throw misfit === undefined ? error : new TypeError(misfit);
    }
  }

  #write(data: T, type: AvroType, prefix: Uint8Array): Uint8Array {
    let scratch = this.#scratch;
    scratch.set(prefix);
    let end = type.encode(data, scratch, prefix.length);
    if (end < 0) {
      // avsc answers with how many bytes were missing, as a negative number.
      scratch = Buffer.allocUnsafeSlow(2 * (scratch.length - end));
      scratch.set(prefix);
      end = type.encode(data, scratch, prefix.length);
      if (scratch.length <= MAX_SCRATCH_BYTES) this.#scratch = scratch;
    }
    return Buffer.from(scratch.subarray(0, end));
  }
}

function plainEncoder(options: AvroSerializerOptions): Encoder {
  const type = avroType(avroSchemaText(options.schema), [], options);
  return { type, prefix: new Uint8Array(0), plainBytes: false };
}

function topicSchemas(options: RegisteredAvroOptions): TopicSchemas<Encoder> {
  const text = avroSchemaText(options.schema);
  const own = { type: 'AVRO', text, references: options.references } as const;
  return new TopicSchemas(options, own, recordName(text, options), ({ id, schema, references }) => {
    const type = avroType(schema.text, references.values(), options);
    return { type, prefix: framePrefix(id), plainBytes: type.typeName === 'bytes' };
  });
}

export interface AvroDeserializerOptions extends AvroOptions {
  /** The schema that the data were written by. */
  readonly schema: AvroSchema;
}

/** Avro in Confluent's wire format. */
export interface RegisteredAvroDeserializerOptions extends AvroOptions {
  readonly registry: SchemaRegistry;
  /**
   * The schema that the application wants: fields that it lacks are dropped, fields that the writer lacked have
   * their defaults (Avro's schema resolution). Left out, data come as they were written.
   */
  readonly readerSchema?: AvroSchema;
}

interface Decoder {
  readonly type: AvroType;
  readonly resolver: ReturnType<AvroType['createResolver']> | undefined;
  readonly plainBytes: boolean;
}

export class AvroDeserializer<T = unknown> implements Deserializer<T> {
  readonly #plain: Decoder | undefined;
  readonly #schemas: WriterSchemas<Decoder> | undefined;

  /** @throws Error if the schema is none */
  constructor(options: AvroDeserializerOptions | RegisteredAvroDeserializerOptions) {
    if ('registry' in options) {
      const text = options.readerSchema && avroSchemaText(options.readerSchema);
      const reader = text === undefined ? undefined : avroType(text, [], options);
      this.#schemas = new WriterSchemas(options.registry, (bound) => decoderOf(bound, reader, options));
    } else {
      const type = avroType(avroSchemaText(options.schema), [], options);
      this.#plain = { type, resolver: undefined, plainBytes: false };
    }
  }

  prepare(topic: string, data: Uint8Array | null): Promise<void> | undefined {
    return this.#schemas?.prepare(topic, data);
  }

  deserialize(topic: string, data: Uint8Array | null): T | null {
    if (data === null) return null;
    const decoder = (this.#plain ?? this.#schemas?.decoder(topic, readSchemaId(topic, data))) as Decoder;
    const payload = asBuffer(this.#schemas === undefined ? data : data.subarray(FRAME_BYTES));
    if (decoder.plainBytes) return payload as T;
    try {
      return decoder.type.fromBuffer(payload, decoder.resolver) as T;
    } catch (error) {
      throw cannotDeserialize(topic, `Avro (${avroName(decoder.type)})`, error);
    }
  }
}

function decoderOf(
  { schema, references }: BoundSchema,
  reader: AvroType | undefined,
  options: AvroOptions,
): Decoder {
  const writer = avroType(schema.text, references.values(), options);
  const plainBytes = writer.typeName === 'bytes';
  return { type: reader ?? writer, resolver: reader?.createResolver(writer), plainBytes };
}

/** A schema that uses types of others can't be compiled yet, but its name stands in its own text. */
function recordName(text: string, options: RegisteredAvroOptions): string {
  if (options.references === undefined || options.references.length === 0) {
    return avroName(avroType(text, [], options));
  }
  const { name, namespace } = JSON.parse(text) as { name?: unknown; namespace?: unknown };
  if (typeof name !== 'string') return 'union';
  return name.includes('.') || typeof namespace !== 'string' ? name : `${namespace}.${name}`;
}
