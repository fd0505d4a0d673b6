import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../../src/core/clock.ts';
import { SchemaRegistryError } from '../../../src/producer/schema-registry/requester.ts';
import { SchemaRegistry } from '../../../src/producer/schema-registry/schema-registry.ts';
import type { SchemaRegistryOptions } from '../../../src/producer/schema-registry/schema-registry.ts';
import type { Schema } from '../../../src/producer/schema-registry/schema.ts';
import { RegistryServer } from './registry-server.ts';

const avro: Schema = { type: 'AVRO', text: '"string"' };
const json: Schema = { type: 'JSON', text: '{"title":"A"}' };
const REQUEST_TIMEOUT_MS = 5000;

let server: RegistryServer;
let clients: SchemaRegistry[];

beforeEach(async () => {
  server = await new RegistryServer().start();
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  await server.stop();
});

/** Pauses between retries are kept in `pauses` and take no time; request timeouts are real. */
function clientOf(options: Partial<SchemaRegistryOptions> = {}, pauses: number[] = []): SchemaRegistry {
  const requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  const clock: Clock = {
    ...systemClock,
    schedule(callback, delayMs) {
      if (delayMs === requestTimeoutMs) return systemClock.schedule(callback, delayMs);
      pauses.push(delayMs);
      return systemClock.schedule(callback, 0);
    },
  };
  const client = new SchemaRegistry({
    url: server.url,
    requestTimeoutMs,
    clock,
    random: () => 0.5,
    ...options,
  });
  clients.push(client);
  return client;
}

async function failure(promise: Promise<unknown>): Promise<SchemaRegistryError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SchemaRegistryError);
  return error as SchemaRegistryError;
}

describe('SchemaRegistry', () => {
  it('SchemaRegistry registers a schema, and finds it by subject, version and id', async () => {
    const client = clientOf();
    const id = await client.register('t-value', json);
    const registered = { id, subject: 't-value', version: 1, schema: json };
    expect(await client.lookUp('t-value', json)).toEqual(registered);
    expect(await client.latest('t-value')).toEqual(registered);
    expect(await client.version('t-value', 1)).toEqual(registered);
    expect(await client.byId(id)).toEqual(json);
  });

  it('SchemaRegistry knows a schema without a type as Avro, and names none for Avro, as old registries want it', async () => {
    const client = clientOf();
    expect(await client.byId(await client.register('t-value', avro))).toEqual(avro);
  });

  it('SchemaRegistry gives a schema the same id under every subject', async () => {
    const client = clientOf();
    expect(await client.register('a-value', avro)).toBe(await client.register('b-value', avro));
  });

  it('SchemaRegistry finds subjects whose names need escaping', async () => {
    const client = clientOf();
    await client.register('a/b c%-value', avro);
    expect((await client.latest('a/b c%-value')).subject).toBe('a/b c%-value');
  });

  it('SchemaRegistry works below a path, and passes normalize on', async () => {
    const client = clientOf({ url: `${server.url}/` });
    await client.register('t-value', avro, true);
    expect(server.requests).toEqual(['POST /subjects/t-value/versions?normalize=true']);
    const below = clientOf({ url: `${server.url}/apis/ccompat/v7/`, retries: 0 });
    expect((await failure(below.register('t-value', avro))).status).toBe(404);
    expect(server.requests[1]).toBe('POST /apis/ccompat/v7/subjects/t-value/versions');
  });

  it('SchemaRegistry asks once for what never changes, and once for equal questions at the same time', async () => {
    const client = clientOf();
    const ids = await Promise.all([client.register('t', avro), client.register('t', avro)]);
    await client.register('t', avro);
    await Promise.all([client.byId(ids[0]), client.byId(ids[0])]);
    await client.byId(ids[0]);
    expect(server.requests).toEqual(['POST /subjects/t/versions', 'GET /schemas/ids/1']);
  });

  it('SchemaRegistry always asks for the latest version', async () => {
    const client = clientOf();
    await client.register('t', avro);
    await client.latest('t');
    await client.register('t', { type: 'AVRO', text: '"long"' });
    expect((await client.latest('t')).version).toBe(2);
  });

  it('SchemaRegistry forgets the answer that was not asked for the longest when there are too many', async () => {
    const client = clientOf({ cacheCapacity: 2 });
    for (const subject of ['a', 'b', 'a', 'c', 'a', 'b']) await client.register(subject, avro);
    const asked = server.requests.map((request) => request.split('/')[2]);
    expect(asked).toEqual(['a', 'b', 'c', 'b']);
  });

  it('SchemaRegistry finds all that a schema refers to, each behind what it refers to itself', async () => {
    const client = clientOf();
    const reference = (name: string) => ({ name, subject: name, version: 1 });
    await client.register('unit', { type: 'AVRO', text: '"string"' });
    await client.register('reading', { type: 'AVRO', text: '"int"', references: [reference('unit')] });
    const sensor: Schema = {
      type: 'AVRO',
      text: '"long"',
      references: [reference('reading'), reference('unit')],
    };
    expect([...(await client.references(sensor)).keys()]).toEqual(['unit', 'reading']);
  });

  it.each([
    ['SCHEMA_NOT_FOUND', 404, 40401, (client: SchemaRegistry) => client.latest('none')],
    ['SCHEMA_NOT_FOUND', 404, 40403, (client: SchemaRegistry) => client.byId(99)],
    [
      'SCHEMA_INVALID',
      422,
      42201,
      (client: SchemaRegistry) => client.register('t', { type: 'AVRO', text: '{' }),
    ],
    ['SCHEMA_INCOMPATIBLE', 409, 409, (client: SchemaRegistry) => client.register('frozen', avro)],
  ])(
    'SchemaRegistry says %s (HTTP %i, error code %i) at once, and asks again the next time',
    async (code, status, registryCode, ask) => {
      server.frozen.add('frozen');
      const client = clientOf();
      for (const expectedRequests of [1, 2]) {
        expect(await failure(ask(client))).toMatchObject({ code, status, registryCode, retriable: false });
        expect(server.requests).toHaveLength(expectedRequests);
      }
    },
  );

  it('SchemaRegistry says what the registry said, and what was wanted', async () => {
    const { message } = await failure(clientOf().latest('orders-value'));
    expect(message).toBe(
      `can't find the latest schema of 'orders-value': the schema registry at ${server.url}/ answered 404: ` +
        "Subject 'orders-value' not found.",
    );
  });

  it.each([500, 503, 429, 408])(
    'SchemaRegistry tries again after HTTP %i, with pauses that double',
    async (status) => {
      const pauses: number[] = [];
      server.faults.push({ status, body: {} }, { status, body: {} });
      expect(await clientOf({}, pauses).register('t', avro)).toBe(1);
      expect(pauses).toEqual([1000, 2000]);
    },
  );

  it('SchemaRegistry waits as long as Retry-After says', async () => {
    const pauses: number[] = [];
    server.faults.push({ status: 429, body: {}, headers: { 'retry-after': '7' } });
    await clientOf({}, pauses).register('t', avro);
    expect(pauses).toEqual([7000]);
  });

  it('SchemaRegistry gives up after the last retry with a retriable error', async () => {
    const down = { status: 500, body: { error_code: 50001, message: 'Error in the backend data store' } };
    server.faults.push(down, down, down);
    const error = await failure(clientOf({ retries: 2 }).register('t', avro));
    expect(error).toMatchObject({
      code: 'SCHEMA_REGISTRY_UNAVAILABLE',
      registryCode: 50001,
      retriable: true,
    });
    expect(server.requests).toHaveLength(3);
  });

  it('SchemaRegistry tries again after a connection that broke', async () => {
    server.faults.push('reset', 'reset');
    expect(await clientOf().register('t', avro)).toBe(1);
  });

  it('SchemaRegistry gives up on an instance that does not answer in time', async () => {
    server.faults.push('hang');
    const error = await failure(clientOf({ requestTimeoutMs: 50, retries: 0 }).register('t', avro));
    expect(error).toMatchObject({ code: 'SCHEMA_REGISTRY_UNAVAILABLE', retriable: true });
    expect(error.message).toContain('no answer within 50 ms');
  });

  it('SchemaRegistry goes on with another instance when one is gone, and stays with it', async () => {
    const other = await new RegistryServer().start();
    await other.stop();
    const pauses: number[] = [];
    const client = clientOf({ url: [other.url, server.url] }, pauses);
    await client.register('a', avro);
    await client.register('b', avro);
    expect(server.requests).toHaveLength(2);
    expect(pauses).toEqual([]);
  });

  it('SchemaRegistry proves who it is by basic auth, a bearer token, or credentials in the URL', async () => {
    server.credentials = 'sensor:p@ss';
    await clientOf({ auth: { username: 'sensor', password: 'p@ss' } }).register('a', avro);
    await clientOf({ url: server.url.replace('http://', 'http://sensor:p%40ss@') }).register('b', avro);
    const wrong = await failure(clientOf({ auth: { token: 'abc' } }).register('c', avro));
    expect(wrong).toMatchObject({ code: 'SCHEMA_REGISTRY_UNAUTHORIZED', status: 401 });
    expect(server.lastHeaders.authorization).toBe('Bearer abc');
  });

  it('SchemaRegistry never shows credentials in a message', async () => {
    server.credentials = 'somebody:else';
    const url = server.url.replace('http://', 'http://sensor:secret@');
    expect((await failure(clientOf({ url }).register('a', avro))).message).not.toContain('secret');
    await server.stop();
    expect((await failure(clientOf({ url, retries: 0 }).register('a', avro))).message).not.toContain(
      'secret',
    );
  });

  it('SchemaRegistry recognises a server that is no schema registry', async () => {
    server.faults.push({ status: 200, body: { hello: 'world' } });
    expect((await failure(clientOf().register('t', avro))).code).toBe('SCHEMA_REGISTRY_BAD_ANSWER');
    expect(() => clientOf({ url: 'localhost:8081' })).toThrow(/http/);
  });

  it('SchemaRegistry ends at once when it is closed, in the middle of a pause', async () => {
    server.faults.push({ status: 503, body: {} });
    const { promise: paused, resolve } = Promise.withResolvers<undefined>();
    const clock: Clock = {
      ...systemClock,
      schedule(callback, delayMs) {
        if (delayMs !== REQUEST_TIMEOUT_MS) resolve(undefined);
        return systemClock.schedule(callback, delayMs);
      },
    };
    const client = clientOf({ clock, retryBackoffMs: 600_000, retryBackoffMaxMs: 600_000 });
    const failing = failure(client.register('t', avro));
    await paused;
    client.close();
    expect((await failing).code).toBe('SCHEMA_REGISTRY_CLOSED');
    expect((await failure(client.register('u', avro))).code).toBe('SCHEMA_REGISTRY_CLOSED');
  });
});

describe('SchemaRegistry over TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-registry-'));
  const pfx = (name: string) => {
    const file = join(folder, `${name}.p12`);
    const store = ['-keystore', file, '-storetype', 'PKCS12', '-storepass', 'secret', '-alias', name];
    const subject = ['-dname', `CN=${name}`, '-ext', 'SAN=ip:127.0.0.1', '-validity', '2'];
    execFileSync('keytool', ['-genkeypair', '-keyalg', 'EC', ...subject, ...store], { stdio: 'ignore' });
    const cert = execFileSync('keytool', ['-exportcert', '-rfc', ...store], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return { pfx: readFileSync(file), passphrase: 'secret', cert: cert.toString() };
  };

  it('SchemaRegistry over TLS trusts a private authority and shows a client certificate', async () => {
    try {
      const own = pfx('registry');
      const device = pfx('client');
      await using secure = await new RegistryServer({
        tls: {
          pfx: own.pfx,
          passphrase: own.passphrase,
          ca: device.cert,
          requestCert: true,
          rejectUnauthorized: true,
        },
      }).start();
      const client = { pfx: device.pfx, passphrase: device.passphrase };
      const tls = { ca: own.cert, ...client };
      expect(await clientOf({ url: secure.url, tls }).register('t', avro)).toBe(1);
      const distrusting = failure(clientOf({ url: secure.url, tls: client, retries: 0 }).register('t', avro));
      expect((await distrusting).message).toContain('self-signed certificate');
      const anonymous = failure(
        clientOf({ url: secure.url, tls: { ca: own.cert }, retries: 0 }).register('t', avro),
      );
      expect((await anonymous).code).toBe('SCHEMA_REGISTRY_UNAVAILABLE');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
