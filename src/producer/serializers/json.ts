import { TopicSchemas, type RegistrySerializerOptions } from '../schema-registry/bound-schemas.ts';
import { FRAME_BYTES, framePrefix, readSchemaId } from '../schema-registry/confluent-framing.ts';
import type { SchemaReference } from '../schema-registry/schema.ts';
import { RegistrySerializer } from './registry-serializer.ts';
import { asBuffer, cannotDeserialize, type Deserializer } from './serializer.ts';

export interface JsonSerializerOptions {
  /** As of `JSON.stringify`, e.g. to write a bigint as text. */
  readonly replacer?: (this: unknown, key: string, value: unknown) => unknown;
}

/** JSON in Confluent's wire format, its schema in a registry. Values are not checked against the schema. */
export interface RegisteredJsonOptions extends JsonSerializerOptions, RegistrySerializerOptions {
  /** A JSON Schema: an object, or its text as it is to be registered. */
  readonly schema: object | string;
  readonly references?: readonly SchemaReference[];
}

const NO_PREFIX = new Uint8Array(0);

/** `JSON.stringify` in UTF-8. null is a tombstone, not the text `null`. */
export class JsonSerializer<T = unknown> extends RegistrySerializer<T, Uint8Array> {
  readonly #replacer: JsonSerializerOptions['replacer'];

  /** @throws TypeError if the registry's options contradict each other */
  constructor(options: JsonSerializerOptions | RegisteredJsonOptions = {}) {
    super('registry' in options ? topicSchemas(options) : undefined, NO_PREFIX);
    this.#replacer = options.replacer;
  }

  protected formatOf(): string {
    return 'JSON';
  }

  protected encode(data: T, prefix: Uint8Array): Uint8Array {
    // Its type leaves out that it answers undefined for undefined, functions and symbols.
    const text: unknown = JSON.stringify(data, this.#replacer);
    if (typeof text !== 'string') throw new TypeError(`JSON has no ${typeof data}`);
    if (prefix.length === 0) return Buffer.from(text, 'utf8');
    const bytes = Buffer.allocUnsafe(prefix.length + Buffer.byteLength(text, 'utf8'));
    bytes.set(prefix);
    bytes.write(text, prefix.length, 'utf8');
    return bytes;
  }
}

function topicSchemas(options: RegisteredJsonOptions): TopicSchemas<Uint8Array> {
  const { schema, references } = options;
  const text = typeof schema === 'string' ? schema : JSON.stringify(schema);
  const own = { type: 'JSON', text, references } as const;
  return new TopicSchemas(options, own, titleOf(text), ({ id }) => framePrefix(id));
}

export interface JsonDeserializerOptions<T> {
  /** As of `JSON.parse`. */
  readonly reviver?: (this: unknown, key: string, value: unknown) => unknown;
  /** Turns what was parsed into a T, or throws: e.g. the `parse` of a schema library. Left out, it is believed. */
  readonly validate?: (json: unknown) => T;
  /** The data are in Confluent's wire format, as a {@link JsonSerializer} with a registry writes them. Default false. */
  readonly framed?: boolean;
}

/** `JSON.parse` of UTF-8. Needs no registry for framed data: JSON names its own fields. */
export class JsonDeserializer<T = unknown> implements Deserializer<T> {
  readonly #options: JsonDeserializerOptions<T>;

  constructor(options: JsonDeserializerOptions<T> = {}) {
    this.#options = options;
  }

  deserialize(topic: string, data: Uint8Array | null): T | null {
    if (data === null) return null;
    const { framed, reviver, validate } = this.#options;
    if (framed === true) readSchemaId(topic, data);
    const text = asBuffer(data).toString('utf8', framed === true ? FRAME_BYTES : 0);
    try {
      const json: unknown = JSON.parse(text, reviver);
      return validate === undefined ? (json as T) : validate(json);
    } catch (error) {
      throw cannotDeserialize(topic, 'JSON', error);
    }
  }
}

/** The name of a JSON Schema, as Confluent's serializers take it. */
function titleOf(schemaText: string): string | undefined {
  const schema: unknown = JSON.parse(schemaText);
  const title: unknown =
    typeof schema === 'object' && schema !== null && 'title' in schema ? schema.title : undefined;
  return typeof title === 'string' ? title : undefined;
}
