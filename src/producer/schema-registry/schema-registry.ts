import type { ConnectionOptions } from 'node:tls';
import { systemClock, type Clock } from '../../core/clock.ts';
import { silentLogger, type Logger } from '../../core/logger.ts';
import { RegistryHttp, Requester, SchemaRegistryError, type RegistryAuth } from './requester.ts';
import type { RegisteredSchema, Schema, SchemaReference, SchemaType } from './schema.ts';

export interface SchemaRegistryOptions {
  /** Base URL, or those of several instances of one registry, with or without a path. */
  readonly url: string | readonly string[];
  readonly auth?: RegistryAuth;
  /** Node's TLS options for https URLs: ca, cert, key, passphrase, servername, ... */
  readonly tls?: ConnectionOptions;
  /** For one request to one instance. Default 10,000. */
  readonly requestTimeoutMs?: number;
  /** Further rounds over the instances after a connection error, 408, 429 or 5xx. Default 3. */
  readonly retries?: number;
  /** First pause between rounds; it doubles. Default 1000. */
  readonly retryBackoffMs?: number;
  /** Longest pause. Default 20,000. */
  readonly retryBackoffMaxMs?: number;
  /** Answers kept, the least recently asked for are forgotten first. Default 1000. */
  readonly cacheCapacity?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** From 0 to 1, for jitter. */
  readonly random?: () => number;
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
    const { clock = systemClock, requestTimeoutMs = 10_000 } = options;
    this.#cacheCapacity = options.cacheCapacity ?? 1000;
    this.#requester = new Requester({
      http: new RegistryHttp({ auth: options.auth, tls: options.tls, requestTimeoutMs, clock }),
      urls: parseUrls(options.url),
      retries: options.retries ?? 3,
      retryBackoffMs: options.retryBackoffMs ?? 1000,
      retryBackoffMaxMs: options.retryBackoffMaxMs ?? 20_000,
      clock,
      random: options.random ?? Math.random,
      logger: options.logger ?? silentLogger,
    });
  }

  /**
   * Registers a schema as the subject's next version, unless it is one of its versions already.
   * @returns the schema's id
   * @throws SchemaRegistryError SCHEMA_INCOMPATIBLE, SCHEMA_INVALID, ...
   */
  register(subject: string, schema: Schema, normalize = false): Promise<number> {
    const path = `${subjectPath(subject)}/versions${normalize ? '?normalize=true' : ''}`;
    return this.#remember(`register ${path} ${keyOf(schema)}`, async () => {
      const purpose = `register a schema under '${subject}'`;
      const body = schemaRequest(schema);
      return registeredId(purpose, await this.#requester.send({ purpose, method: 'POST', path, body }));
    });
  }

  /**
   * Where a schema is registered under a subject.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND if the subject doesn't exist or doesn't have it
   */
  lookUp(subject: string, schema: Schema, normalize = false): Promise<RegisteredSchema> {
    const path = `${subjectPath(subject)}${normalize ? '?normalize=true' : ''}`;
    return this.#remember(`look up ${path} ${keyOf(schema)}`, async () => {
      const purpose = `find the schema under '${subject}'`;
      const body = schemaRequest(schema);
      return registeredSchema(purpose, await this.#requester.send({ purpose, method: 'POST', path, body }));
    });
  }

  /**
   * A subject's latest version: always asked for, because it changes.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND if the subject doesn't exist
   */
  async latest(subject: string): Promise<RegisteredSchema> {
    const purpose = `find the latest schema of '${subject}'`;
    const path = `${subjectPath(subject)}/versions/latest`;
    return registeredSchema(purpose, await this.#requester.send({ purpose, method: 'GET', path }));
  }

  /**
   * One version of a subject; one that was deleted since (not for good) too, because schemas may still refer to it.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND
   */
  version(subject: string, version: number): Promise<RegisteredSchema> {
    const path = `${subjectPath(subject)}/versions/${version}?deleted=true`;
    return this.#remember(`get ${path}`, async () => {
      const purpose = `find version ${version} of '${subject}'`;
      return registeredSchema(purpose, await this.#requester.send({ purpose, method: 'GET', path }));
    });
  }

  /**
   * The schema that records name by this id.
   * @throws SchemaRegistryError SCHEMA_NOT_FOUND
   */
  byId(id: number): Promise<Schema> {
    const path = `/schemas/ids/${id}`;
    return this.#remember(`get ${path}`, async () => {
      const purpose = `find the schema with id ${id}`;
      return schemaOf(purpose, await this.#requester.send({ purpose, method: 'GET', path }));
    });
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

  #remember<T>(question: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(question) as Promise<T> | undefined;
    this.#answers.delete(question);
    const answer = known ?? ask();
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

function subjectPath(subject: string): string {
  return `/subjects/${encodeURIComponent(subject)}`;
}

function keyOf(schema: Schema): string {
  return JSON.stringify([schema.type, schema.references ?? [], schema.text]);
}

function parseUrls(url: string | readonly string[]): URL[] {
  const urls = (typeof url === 'string' ? [url] : url).map((text) => {
    const parsed = URL.parse(text);
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
      throw new TypeError(`'${text}' is not the http or https URL of a schema registry`);
    }
    return parsed;
  });
  if (urls.length === 0) throw new TypeError('a schema registry needs at least one URL');
  return urls;
}

/** A schema as the body of `POST /subjects/{subject}` and `POST /subjects/{subject}/versions`. */
export function schemaRequest(schema: Schema): object {
  return {
    schema: schema.text,
    // Registries from before schema types (5.4) know Avro alone, and refuse the field.
    ...(schema.type !== 'AVRO' && { schemaType: schema.type }),
    ...(schema.references !== undefined && schema.references.length > 0 && { references: schema.references }),
  };
}

/** Reads the answer of `POST /subjects/{subject}/versions`: `{ id }`. */
export function registeredId(purpose: string, body: unknown): number {
  return field(purpose, body, 'id', isInteger);
}

/** Reads `{ schema, schemaType?, references? }`, the answer of `GET /schemas/ids/{id}`. */
export function schemaOf(purpose: string, body: unknown): Schema {
  const references = field(purpose, body, 'references', isReferences);
  return {
    type: field(purpose, body, 'schemaType', isSchemaType) ?? 'AVRO',
    text: field(purpose, body, 'schema', isString),
    ...(references != null && references.length > 0 && { references }),
  };
}

/** Reads a schema with `{ subject, id, version }`, the answer for a subject's version. */
export function registeredSchema(purpose: string, body: unknown): RegisteredSchema {
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
