import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, Server as SecureServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

interface StoredSchema {
  readonly schema: string;
  readonly schemaType: string;
  readonly references: readonly { name: string; subject: string; version: number }[];
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}

/**
 * A schema registry in memory, over real HTTP, by the published REST contract of Confluent Schema Registry 7
 * (docs.confluent.io, "Schema Registry API Reference"): its paths, bodies, statuses and error codes. No real
 * registry can be had from npm or Maven Central; this one was checked by running Confluent's own Python client
 * against it. It judges compatibility only as far as `frozen` says.
 */
export class RegistryServer {
  /** `METHOD /path?query` of every request, in order. */
  readonly requests: string[] = [];
  /** Headers of the last request. */
  lastHeaders: IncomingMessage['headers'] = {};
  /** Answers to give instead of the true ones, first come first served. `hang` never answers. */
  readonly faults: (Answer | 'hang' | 'reset')[] = [];
  /** Subjects that take no new version: 409. */
  readonly frozen = new Set<string>();
  /** `user:password` that requests must carry; undefined lets everybody in. */
  credentials: string | undefined;
  url = '';

  readonly #schemas: StoredSchema[] = [];
  readonly #firstId: number;
  readonly #subjects = new Map<string, number[]>();
  readonly #server;

  constructor(options: { firstId?: number; tls?: ServerOptions } = {}) {
    this.#firstId = options.firstId ?? 1;
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      void this.#handle(request, response);
    };
    this.#server = options.tls === undefined ? createServer(handle) : createSecureServer(options.tls, handle);
  }

  async start(): Promise<this> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#server.listen(0, '127.0.0.1', () => {
      resolve(undefined);
    });
    await promise;
    const scheme = this.#server instanceof SecureServer ? 'https' : 'http';
    this.url = `${scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#server.close(() => {
      resolve(undefined);
    });
    this.#server.closeAllConnections();
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** The schema texts of a subject's versions. */
  versions(subject: string): string[] {
    return (this.#subjects.get(subject) ?? []).map((id) => this.#byId(id)!.schema);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    this.lastHeaders = request.headers;
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const fault = this.faults.shift();
    if (fault === 'hang') return;
    if (fault === 'reset') {
      request.socket.destroy();
      return;
    }
    const answer = fault ?? this.#answer(request, Buffer.concat(chunks).toString('utf8'));
    response.writeHead(answer.status, {
      'content-type': 'application/vnd.schemaregistry.v1+json',
      ...answer.headers,
    });
    response.end(JSON.stringify(answer.body));
  }

  #answer(request: IncomingMessage, text: string): Answer {
    if (this.credentials !== undefined) {
      const expected = `Basic ${Buffer.from(this.credentials).toString('base64')}`;
      if (request.headers.authorization !== expected) return error(401, 401, 'Unauthorized');
    }
    const { pathname } = new URL(request.url ?? '', 'http://registry');
    const parts = pathname.split('/').slice(1).map(decodeURIComponent);
    const [root, subject = '', versions, version] = parts;
    if (request.method === 'GET' && root === 'schemas' && subject === 'ids')
      return this.#getById(Number(versions));
    if (root !== 'subjects') return error(404, 404, 'HTTP 404 Not Found');
    if (request.method === 'GET') return this.#getVersion(subject, version ?? '');
    const body = JSON.parse(text) as Partial<StoredSchema> & { schema: string };
    const stored = {
      schema: body.schema,
      schemaType: body.schemaType ?? 'AVRO',
      references: body.references ?? [],
    };
    if (stored.schemaType !== 'PROTOBUF' && !isJson(stored.schema)) {
      return error(422, 42201, `Invalid schema ${stored.schema}`);
    }
    return versions === 'versions' ? this.#register(subject, stored) : this.#lookUp(subject, stored);
  }

  #register(subject: string, stored: StoredSchema): Answer {
    const ids = this.#subjects.get(subject) ?? [];
    const known = this.#idOf(stored);
    if (known !== undefined && ids.includes(known)) return { status: 200, body: { id: known } };
    if (this.frozen.has(subject)) {
      return error(409, 409, 'Schema being registered is incompatible with an earlier schema for subject');
    }
    const id = known ?? this.#firstId + this.#schemas.push(stored) - 1;
    this.#subjects.set(subject, [...ids, id]);
    return { status: 200, body: { id } };
  }

  #lookUp(subject: string, stored: StoredSchema): Answer {
    const ids = this.#subjects.get(subject);
    if (ids === undefined) return error(404, 40401, `Subject '${subject}' not found.`);
    const id = this.#idOf(stored);
    if (id === undefined || !ids.includes(id)) return error(404, 40403, 'Schema not found');
    return { status: 200, body: this.#version(subject, ids.indexOf(id) + 1, id) };
  }

  #getVersion(subject: string, text: string): Answer {
    const ids = this.#subjects.get(subject);
    if (ids === undefined) return error(404, 40401, `Subject '${subject}' not found.`);
    const version = text === 'latest' ? ids.length : Number(text);
    const id = ids[version - 1];
    if (id === undefined) return error(404, 40402, `Version ${text} not found.`);
    return { status: 200, body: this.#version(subject, version, id) };
  }

  #getById(id: number): Answer {
    const stored = this.#byId(id);
    return stored === undefined
      ? error(404, 40403, `Schema ${id} not found`)
      : { status: 200, body: described(stored) };
  }

  #version(subject: string, version: number, id: number): object {
    return { subject, version, id, ...described(this.#byId(id)!) };
  }

  #byId(id: number): StoredSchema | undefined {
    return this.#schemas[id - this.#firstId];
  }

  #idOf(stored: StoredSchema): number | undefined {
    const text = JSON.stringify(stored);
    const index = this.#schemas.findIndex((it) => JSON.stringify(it) === text);
    return index < 0 ? undefined : this.#firstId + index;
  }
}

/** As the real one, which leaves out what is the default. */
function described({ schema, schemaType, references }: StoredSchema): object {
  return {
    schema,
    ...(schemaType !== 'AVRO' && { schemaType }),
    ...(references.length > 0 && { references }),
  };
}

function error(status: number, code: number, message: string): Answer {
  return { status, body: { error_code: code, message } };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
