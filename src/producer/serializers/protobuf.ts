import { TopicSchemas, WriterSchemas } from '../schema-registry/bound-schemas.ts';
import type { BoundSchema, RegistrySerializerOptions } from '../schema-registry/bound-schemas.ts';
import { framePrefix, readMessageIndexes, readSchemaId } from '../schema-registry/confluent-framing.ts';
import { protoMessages } from '../schema-registry/proto-messages.ts';
import type { SchemaRegistry } from '../schema-registry/schema-registry.ts';
import type { SchemaReference } from '../schema-registry/schema.ts';
import { RegistrySerializer } from './registry-serializer.ts';
import { cannotDeserialize, SerializationError, type Deserializer } from './serializer.ts';

/**
 * A message type: a `Type` of protobufjs, a class that its `pbjs` generated, or one of ts-proto. The library comes
 * from the application; this one needs no more of it than this.
 */
export interface ProtobufType<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
  /** What is wrong with a message, or null. protobufjs has it, ts-proto does not. */
  verify?(message: never): string | null;
  /** Full name; protobufjs' reflection has it, with a leading dot. */
  readonly fullName?: string | undefined;
}

export interface ProtobufSerializerOptions<T> {
  readonly type: ProtobufType<T>;
  /**
   * Asks the type's `verify` about each message. Default true: without it protobufjs writes 0 for a bigint, and
   * whatever it makes of a field of the wrong type. false saves that time where the compiler vouches for messages.
   */
  readonly verify?: boolean;
}

/** Protobuf in Confluent's wire format, its .proto file in a registry. */
export interface RegisteredProtobufOptions<T>
  extends ProtobufSerializerOptions<T>, RegistrySerializerOptions {
  /** The text of the .proto file that defines the message. */
  readonly schema: string;
  /** The message's full name, e.g. `fleet.EnvSensor`. Default: the type's `fullName`. */
  readonly message?: string;
  /** Where the files that it imports are registered; `name` is the path of the import. Not for google/protobuf. */
  readonly references?: readonly SchemaReference[];
}

const NO_PREFIX = new Uint8Array(0);

export class ProtobufSerializer<T> extends RegistrySerializer<T, Uint8Array> {
  readonly #type: ProtobufType<T>;
  readonly #verify: boolean;

  /** @throws TypeError if the schema has no such message, or the registry's options contradict each other */
  constructor(options: ProtobufSerializerOptions<T> | RegisteredProtobufOptions<T>) {
    super('registry' in options ? topicSchemas(options) : undefined, NO_PREFIX);
    this.#type = options.type;
    this.#verify = options.verify ?? true;
  }

  protected formatOf(): string {
    return 'Protobuf';
  }

  protected encode(data: T, prefix: Uint8Array): Uint8Array {
    const problem = this.#verify ? this.#type.verify?.(data as never) : null;
    if (typeof problem === 'string') throw new TypeError(problem);
    const payload = this.#type.encode(data).finish();
    if (prefix.length === 0) return payload;
    const bytes = Buffer.allocUnsafe(prefix.length + payload.length);
    bytes.set(prefix);
    bytes.set(payload, prefix.length);
    return bytes;
  }
}

function topicSchemas<T>(options: RegisteredProtobufOptions<T>): TopicSchemas<Uint8Array> {
  const { schema: text, references } = options;
  const message = options.message ?? nameOf(options.type);
  // Now rather than at the first record.
  indexesOf(text, message);
  const own = { type: 'PROTOBUF', text, references } as const;
  return new TopicSchemas(options, own, message, ({ id, schema }) =>
    framePrefix(id, indexesOf(schema.text, message)),
  );
}

/** Protobuf in Confluent's wire format. */
export interface RegisteredProtobufDeserializerOptions<T> {
  readonly registry: SchemaRegistry;
  /** The types that records may be of, by their full names, e.g. `{ 'fleet.EnvSensor': EnvSensor }`. */
  readonly types: Readonly<Record<string, ProtobufType<T>>>;
}

/**
 * Reads messages of one type. With a registry it reads several types: the writer's schema says which. Fields of type
 * bytes are views on the record.
 */
export class ProtobufDeserializer<T> implements Deserializer<T> {
  readonly #type: ProtobufType<T> | undefined;
  readonly #schemas: WriterSchemas<ReadonlyMap<string, string>> | undefined;
  readonly #types: Readonly<Record<string, ProtobufType<T>>>;

  constructor(options: { readonly type: ProtobufType<T> } | RegisteredProtobufDeserializerOptions<T>) {
    if ('registry' in options) {
      this.#types = options.types;
      this.#schemas = new WriterSchemas(options.registry, namesByIndexes);
    } else {
      this.#types = {};
      this.#type = options.type;
    }
  }

  prepare(topic: string, data: Uint8Array | null): Promise<void> | undefined {
    return this.#schemas?.prepare(topic, data);
  }

  deserialize(topic: string, data: Uint8Array | null): T | null {
    if (data === null) return null;
    if (this.#type !== undefined) return decode(topic, this.#type, data);
    const names = this.#schemas?.decoder(topic, readSchemaId(topic, data));
    const framed = readMessageIndexes(data);
    if (framed === undefined) throw cannotDeserialize(topic, 'Protobuf', 'its message indexes are malformed');
    const name = names?.get(framed.messageIndexes.join());
    const type = name === undefined ? undefined : this.#types[name];
    if (type === undefined) {
      const found = name === undefined ? 'of no message of its schema' : `a ${name}`;
      const message = `data from topic '${topic}' is ${found}, not one of ${Object.keys(this.#types).join(', ')}`;
      throw new SerializationError('UNEXPECTED_SCHEMA', topic, message);
    }
    return decode(topic, type, data.subarray(framed.offset));
  }
}

function decode<T>(topic: string, type: ProtobufType<T>, bytes: Uint8Array): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw cannotDeserialize(topic, 'Protobuf', error);
  }
}

/** Message indexes, joined by commas, to full names. */
function namesByIndexes({ schema }: BoundSchema): ReadonlyMap<string, string> {
  return new Map(protoMessages(schema.text).map(({ name, indexes }) => [indexes.join(), name]));
}

function indexesOf(schemaText: string, message: string): readonly number[] {
  const messages = protoMessages(schemaText);
  const found = messages.find(({ name }) => name === message);
  if (found === undefined) {
    const names = messages.map(({ name }) => name).join(', ');
    throw new TypeError(`the .proto file has no message '${message}', but: ${names}`);
  }
  return found.indexes;
}

function nameOf<T>(type: ProtobufType<T>): string {
  if (type.fullName === undefined) {
    throw new TypeError("the message's full name is needed ('message'): the type doesn't know it");
  }
  return type.fullName.replace(/^\./, '');
}
