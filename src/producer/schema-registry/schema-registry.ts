import { Requester, SchemaRegistryError, type RequesterOptions } from './requester.ts';
import type { RegisteredSchema, Schema, SchemaReference, SchemaType } from './schema.ts';

export interface SchemaRegistryOptions extends RequesterOptions {
  /** Answers kept, the least recently asked for are forgotten first. Default 1000. */
  readonly cacheCapacity?: number;
}

/**
 * A client of Confluent Schema Registry's REST API, version 1, which others speak too (Apicurio's ccompat, Karapace,
 * Redpanda). What can't change is asked for once and kept: a schema by its id, the id of a registered schema, a
 * version. Equal questions at the same time are one request. Every failure is a SchemaRegistryError and is not kept.
 */
export class SchemaRegistry {
  readonly #requester: Requester;
  readonly #cacheCapacity: number;
  /** In the order of last use. */
  readonly #answers = new Map<string, Promise<unknown>>();

  /** @throws TypeError if there is no URL, or one is not http or https */
  constructor(options: SchemaRegistryOptions) {
    this.#cacheCapacity = options.cacheCapacity ?? 1000;
    this.#requester = new Requester(options);
  }

  /**
   * Registers a schema as the subject's next version, unless it is one of its versions already.
   * @returns the schema's id
   * @throws SchemaRegistryError SCHEMA_INCOMPATIBLE, SCHEMA_INVALID, ...
   */
  register(subject: string, schema: Schema, normalize = false): Promise<number> {
    const path = `${subjectPath(subject)}/versions${normalize ? '?normalize=true' : ''}`;
    return this.#askOnce(registeredId, `register a schema under '${subject}'`, path, schema);
  }

  /**
   * Where a schema is registered under a subject.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND if the subject doesn't exist or doesn't have it
   */
  lookUp(subject: string, schema: Schema, normalize = false): Promise<RegisteredSchema> {
    const path = `${subjectPath(subject)}${normalize ? '?normalize=true' : ''}`;
    return this.#askOnce(registeredSchema, `find the schema under '${subject}'`, path, schema);
  }

  /**
   * A subject's latest version: always asked for, because it changes.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND if the subject doesn't exist
   */
  latest(subject: string): Promise<RegisteredSchema> {
    const path = `${subjectPath(subject)}/versions/latest`;
    return this.#ask(registeredSchema, `find the latest schema of '${subject}'`, path, undefined);
  }

  /**
   * One version of a subject; one that was deleted since (not for good) too, because schemas may still refer to it.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND
   */
  version(subject: string, version: number): Promise<RegisteredSchema> {
    const path = `${subjectPath(subject)}/versions/${version}?deleted=true`;
    return this.#askOnce(registeredSchema, `find version ${version} of '${subject}'`, path);
  }

  /**
   * The schema that records name by this id.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND
   */
  byId(id: number): Promise<Schema> {
    return this.#askOnce(schemaOf, `find the schema with id ${id}`, `/schemas/ids/${id}`);
  }

  /**
   * All schemas that a schema refers to, directly or not, by the names under which they are referred to. Each
   * stands behind those that it refers to itself.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND
   */
  async references(schema: Schema): Promise<ReadonlyMap<string, Schema>> {
    const found = new Map<string, Schema>();
    const visited = new Set<string>();
    const visit = async (referrer: Schema): Promise<void> => {
      for (const { name, subject, version } of referrer.references ?? []) {
        if (visited.has(name)) continue;
        visited.add(name);
        const referred = await this.version(subject, version);
        await visit(referred.schema);
        found.set(name, referred.schema);
      }
    };
    await visit(schema);
    return found;
  }

  /** Ends all connections. Requests under way fail with SCHEMA_REGISTRY_CLOSED. */
  close(): void {
    this.#requester.close();
  }

  async #ask<T>(read: Reader<T>, purpose: string, path: string, body: object | undefined): Promise<T> {
    return read(purpose, await this.#requester.send({ purpose, path, body }));
  }

  /** Asks what never has another answer: once, and once for equal questions at the same time. */
  #askOnce<T>(read: Reader<T>, purpose: string, path: string, schema?: Schema): Promise<T> {
    const body = schema === undefined ? undefined : schemaRequest(schema);
    const question = `${path} ${JSON.stringify(body)}`;
    const known = this.#answers.get(question) as Promise<T> | undefined;
    this.#answers.delete(question);
    const answer = known ?? this.#ask(read, purpose, path, body);
    this.#answers.set(question, answer);
    if (known === undefined) {
      answer.catch(() => {
        if (this.#answers.get(question) === answer) this.#answers.delete(question);
      });
      const [oldest] = this.#answers.keys();
      if (this.#answers.size > this.#cacheCapacity && oldest !== undefined) this.#answers.delete(oldest);
    }
    return answer;
  }
}

/** Reads the body of an answer; `purpose` is for the error, see RegistryRequest. */
type Reader<T> = (purpose: string, body: unknown) => T;

function subjectPath(subject: string): string {
  return `/subjects/${encodeURIComponent(subject)}`;
}

/** A schema as the body of `POST /subjects/{subject}` and `POST /subjects/{subject}/versions`. */
function schemaRequest(schema: Schema): object {
  return {
    schema: schema.text,
    // Registries from before schema types (5.4) know Avro alone, and refuse the field.
    ...(schema.type !== 'AVRO' && { schemaType: schema.type }),
    ...(schema.references !== undefined && schema.references.length > 0 && { references: schema.references }),
  };
}

/** Reads the answer of `POST /subjects/{subject}/versions`: `{ id }`. */
function registeredId(purpose: string, body: unknown): number {
  return field(purpose, body, 'id', isInteger);
}

/** Reads `{ schema, schemaType?, references? }`, the answer of `GET /schemas/ids/{id}`. */
function schemaOf(purpose: string, body: unknown): Schema {
  const references = field(purpose, body, 'references', isReferences);
  return {
    type: field(purpose, body, 'schemaType', isSchemaType) ?? 'AVRO',
    text: field(purpose, body, 'schema', isString),
    ...(references != null && references.length > 0 && { references }),
  };
}

/** Reads a schema with `{ subject, id, version }`, the answer for a subject's version. */
function registeredSchema(purpose: string, body: unknown): RegisteredSchema {
  return {
    id: field(purpose, body, 'id', isInteger),
    subject: field(purpose, body, 'subject', isString),
    version: field(purpose, body, 'version', isInteger),
    schema: schemaOf(purpose, body),
  };
}

function field<T>(purpose: string, body: unknown, name: string, is: (value: unknown) => value is T): T {
  const value = isObject(body) ? body[name] : undefined;
  if (is(value)) return value;
  throw new SchemaRegistryError(
    'SCHEMA_REGISTRY_BAD_ANSWER',
    `can't ${purpose}: the answer has no usable '${name}'; is the URL that of a schema registry?`,
  );
}

const SCHEMA_TYPES: readonly unknown[] = ['AVRO', 'PROTOBUF', 'JSON'] satisfies SchemaType[];

const isInteger = (value: unknown): value is number => Number.isInteger(value);
const isString = (value: unknown): value is string => typeof value === 'string';
// Left out, and null in some registries: Avro.
const isSchemaType = (value: unknown): value is SchemaType | undefined | null =>
  value === undefined || value === null || SCHEMA_TYPES.includes(value);
const isReferences = (value: unknown): value is readonly SchemaReference[] | undefined | null =>
  value === undefined || value === null || (Array.isArray(value) && value.every(isReference));
const isReference = (value: unknown): value is SchemaReference =>
  isObject(value) && isString(value.name) && isString(value.subject) && isInteger(value.version);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
