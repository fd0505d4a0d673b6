import { errorMessage } from '../../core/errors.ts';
import { SerializationError, type RecordPart } from '../serializers/serializer.ts';
import { peekSchemaId } from './confluent-framing.ts';
import type { SchemaRegistry } from './schema-registry.ts';
import { topicNameStrategy, type Schema, type SubjectNameStrategy } from './schema.ts';

/** How a serializer uses a registry. The names are those of Confluent's serializers, in camel case. */
export interface RegistrySerializerOptions {
  readonly registry: SchemaRegistry;
  /** Which half of a record the serializer is for. Default `value`. */
  readonly part?: RecordPart;
  /** Default {@link topicNameStrategy}. */
  readonly subjectNameStrategy?: SubjectNameStrategy;
  /**
   * true, the default: a schema that the subject doesn't have yet becomes its next version, if it is compatible.
   * false: it must be there; what production usually wants.
   */
  readonly autoRegisterSchemas?: boolean;
  /**
   * Serializes by the subject's latest version, as it is at the first use on a topic, instead of the serializer's
   * own schema; nothing is registered. Default false.
   */
  readonly useLatestVersion?: boolean;
  /** Lets the registry ignore differences of form: order of attributes, white space. Default false. */
  readonly normalizeSchemas?: boolean;
}

/** The id of a topic's schema, and the schema that records are to be written by. */
export interface BoundSchema {
  readonly id: number;
  readonly schema: Schema;
  /** What it refers to, as of {@link SchemaRegistry.references}. */
  readonly references: ReadonlyMap<string, Schema>;
}

/** What a serializer needs from a registry, kept for each topic: `E` is made once from the topic's schema. */
export class TopicSchemas<E> {
  readonly part: RecordPart;
  readonly #options: RegistrySerializerOptions;
  readonly #schema: Schema;
  readonly #recordName: string | undefined;
  readonly #bind: (bound: BoundSchema) => E;
  readonly #encoders = new Map<string, E>();
  readonly #pending = new Map<string, Promise<void>>();
  /** Most streams have runs of one topic. */
  #lastTopic: string | undefined;
  #lastEncoder: E | undefined;

  /** @throws TypeError if the options contradict each other */
  constructor(
    options: RegistrySerializerOptions,
    schema: Schema,
    recordName: string | undefined,
    bind: (bound: BoundSchema) => E,
  ) {
    if (options.useLatestVersion === true && options.autoRegisterSchemas === true) {
      throw new TypeError('useLatestVersion registers nothing: it excludes autoRegisterSchemas');
    }
    this.part = options.part ?? 'value';
    this.#options = options;
    this.#schema = schema;
    this.#recordName = recordName;
    this.#bind = bind;
  }

  /** undefined once {@link encoder} has an answer for the topic. */
  prepare(topic: string): Promise<void> | undefined {
    if (topic === this.#lastTopic || this.#encoders.has(topic)) return undefined;
    let pending = this.#pending.get(topic);
    if (pending === undefined) {
      pending = this.#fetch(topic).finally(() => this.#pending.delete(topic));
      this.#pending.set(topic, pending);
    }
    return pending;
  }

  /** @throws SerializationError SCHEMA_NOT_PREPARED if {@link prepare} is still to be awaited */
  encoder(topic: string): E {
    if (topic === this.#lastTopic) return this.#lastEncoder as E;
    const encoder = this.#encoders.get(topic);
    if (encoder === undefined) throw notPrepared(topic);
    this.#lastTopic = topic;
    this.#lastEncoder = encoder;
    return encoder;
  }

  async #fetch(topic: string): Promise<void> {
    const { registry, subjectNameStrategy = topicNameStrategy } = this.#options;
    const subject = orUnusable(topic, 'its own schema', () =>
      subjectNameStrategy(topic, this.part, this.#recordName),
    );
    const { id, schema } = await this.#find(subject);
    const references = await registry.references(schema);
    const encoder = orUnusable(topic, `the schema of '${subject}' with id ${id}`, () => {
      if (schema.type !== this.#schema.type)
        throw new TypeError(`it is ${schema.type}, not ${this.#schema.type}`);
      return this.#bind({ id, schema, references });
    });
    this.#encoders.set(topic, encoder);
  }

  async #find(subject: string): Promise<{ id: number; schema: Schema }> {
    const { registry, useLatestVersion, autoRegisterSchemas, normalizeSchemas } = this.#options;
    if (useLatestVersion === true) return registry.latest(subject);
    const schema = this.#schema;
    if (autoRegisterSchemas === false) {
      return { id: (await registry.lookUp(subject, schema, normalizeSchemas)).id, schema };
    }
    return { id: await registry.register(subject, schema, normalizeSchemas), schema };
  }
}

/** What was made of a schema; whatever goes wrong becomes a SerializationError. */
export function orUnusable<T>(topic: string, schema: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new SerializationError(
      'UNUSABLE_SCHEMA',
      topic,
      `${schema} can't be used for topic '${topic}': ${errorMessage(error)}`,
      { cause: error },
    );
  }
}

export function notPrepared(topic: string): SerializationError {
  return new SerializationError(
    'SCHEMA_NOT_PREPARED',
    topic,
    `the schema for topic '${topic}' is not there yet: await prepare() before serialize() or deserialize()`,
  );
}

/** What a deserializer needs from a registry, kept for each schema id: `D` is made once from the writer's schema. */
export class WriterSchemas<D> {
  readonly #registry: SchemaRegistry;
  readonly #bind: (bound: BoundSchema) => D;
  readonly #decoders = new Map<number, D>();
  readonly #pending = new Map<number, Promise<void>>();

  constructor(registry: SchemaRegistry, bind: (bound: BoundSchema) => D) {
    this.#registry = registry;
    this.#bind = bind;
  }

  /** undefined once {@link decoder} has an answer for the data's schema, and for data that names none. */
  prepare(topic: string, data: Uint8Array | null): Promise<void> | undefined {
    const id = data === null ? undefined : peekSchemaId(data);
    if (id === undefined || this.#decoders.has(id)) return undefined;
    let pending = this.#pending.get(id);
    if (pending === undefined) {
      pending = this.#fetch(topic, id).finally(() => this.#pending.delete(id));
      this.#pending.set(id, pending);
    }
    return pending;
  }

  /** @throws SerializationError SCHEMA_NOT_PREPARED if {@link prepare} is still to be awaited */
  decoder(topic: string, id: number): D {
    const decoder = this.#decoders.get(id);
    if (decoder === undefined) throw notPrepared(topic);
    return decoder;
  }

  async #fetch(topic: string, id: number): Promise<void> {
    const schema = await this.#registry.byId(id);
    const references = await this.#registry.references(schema);
    const decoder = orUnusable(topic, `the schema with id ${id}`, () =>
      this.#bind({ id, schema, references }),
    );
    this.#decoders.set(id, decoder);
  }
}
