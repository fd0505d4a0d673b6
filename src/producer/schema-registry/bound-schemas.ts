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

/** Bindings to schemas. Each is made once, however many records wait for it. */
class Bindings<Key, Binding> {
  readonly #make: (topic: string, key: Key) => Promise<Binding>;
  readonly #made = new Map<Key, Binding>();
  readonly #pending = new Map<Key, Promise<void>>();

  constructor(make: (topic: string, key: Key) => Promise<Binding>) {
    this.#make = make;
  }

  /** undefined once {@link get} has an answer. After a failure the next call tries again. */
  prepare(topic: string, key: Key): Promise<void> | undefined {
    if (this.#made.has(key)) return undefined;
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      const keep = (binding: Binding) => void this.#made.set(key, binding);
      pending = this.#make(topic, key)
        .then(keep)
        .finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  /** @throws SerializationError SCHEMA_NOT_PREPARED if {@link prepare} is still to be awaited */
  get(topic: string, key: Key): Binding {
    const binding = this.#made.get(key);
    if (binding !== undefined) return binding;
    const advice = 'await prepare() before serialize() or deserialize()';
    const message = `the schema for topic '${topic}' is not there yet: ${advice}`;
    throw new SerializationError('SCHEMA_NOT_PREPARED', topic, message);
  }
}

/** What a serializer needs from a registry, kept for each topic: `E` is made once from the topic's schema. */
export class TopicSchemas<E> {
  readonly part: RecordPart;
  readonly #encoders: Bindings<string, E>;
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
    const { registry, part = 'value', subjectNameStrategy = topicNameStrategy } = options;
    this.part = part;
    this.#encoders = new Bindings(async (topic) => {
      const subject = orUnusable(topic, 'its own schema', () => subjectNameStrategy(topic, part, recordName));
      const { id, schema: found } = await find(options, subject, schema);
      const references = await registry.references(found);
      return orUnusable(topic, `the schema of '${subject}' with id ${id}`, () => {
        if (found.type !== schema.type) throw new TypeError(`it is ${found.type}, not ${schema.type}`);
        return bind({ id, schema: found, references });
      });
    });
  }

  /** undefined once {@link encoder} has an answer for the topic. */
  prepare(topic: string): Promise<void> | undefined {
    return topic === this.#lastTopic ? undefined : this.#encoders.prepare(topic, topic);
  }

  /** @throws SerializationError SCHEMA_NOT_PREPARED if {@link prepare} is still to be awaited */
  encoder(topic: string): E {
    if (topic === this.#lastTopic) return this.#lastEncoder as E;
    const encoder = this.#encoders.get(topic, topic);
    this.#lastTopic = topic;
    this.#lastEncoder = encoder;
    return encoder;
  }
}

/** The id that the registry has for a serializer's schema, and the schema that records are to be written by. */
async function find(
  { registry, useLatestVersion, autoRegisterSchemas, normalizeSchemas }: RegistrySerializerOptions,
  subject: string,
  schema: Schema,
): Promise<{ readonly id: number; readonly schema: Schema }> {
  if (useLatestVersion === true) return registry.latest(subject);
  if (autoRegisterSchemas !== false) {
    return { id: await registry.register(subject, schema, normalizeSchemas), schema };
  }
  const { id } = await registry.lookUp(subject, schema, normalizeSchemas);
  return { id, schema };
}

/** What a deserializer needs from a registry, kept for each schema id: `D` is made once from the writer's schema. */
export class WriterSchemas<D> {
  readonly #decoders: Bindings<number, D>;

  constructor(registry: SchemaRegistry, bind: (bound: BoundSchema) => D) {
    this.#decoders = new Bindings(async (topic, id) => {
      const schema = await registry.byId(id);
      const references = await registry.references(schema);
      return orUnusable(topic, `the schema with id ${id}`, () => bind({ id, schema, references }));
    });
  }

  /** undefined once {@link decoder} has an answer for the data's schema, and for data that names none. */
  prepare(topic: string, data: Uint8Array | null): Promise<void> | undefined {
    const id = data === null ? undefined : peekSchemaId(data);
    return id === undefined ? undefined : this.#decoders.prepare(topic, id);
  }

  /** @throws SerializationError SCHEMA_NOT_PREPARED if {@link prepare} is still to be awaited */
  decoder(topic: string, id: number): D {
    return this.#decoders.get(topic, id);
  }
}

/** What was made of a schema; whatever goes wrong becomes a SerializationError. */
function orUnusable<T>(topic: string, schema: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const message = `${schema} can't be used for topic '${topic}': ${errorMessage(error)}`;
    throw new SerializationError('UNUSABLE_SCHEMA', topic, message, { cause: error });
  }
}
