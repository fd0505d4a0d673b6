import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { SchemaRegistry } from '../../src/producer/schema-registry/schema-registry.ts';
import { ValueFramings } from '../../src/assembly/value-framing.ts';

let server: Server;
let url: string;
/** What the registry answers: a status, or an id. */
let answer: number | undefined;
const asked: { path: string; body: { schemaType?: string; schema: string } }[] = [];

beforeEach(async () => {
  answer = 42;
  asked.length = 0;
  // As little of the published REST contract as registering takes.
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as (typeof asked)[number]['body'];
      asked.push({ path: request.url ?? '', body });
      response.writeHead(answer === undefined ? 409 : 200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(answer === undefined ? { error_code: 409, message: 'no' } : { id: answer }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.close();
});

function connected(): ValueFramings {
  const framings = new ValueFramings();
  const clock = { ...systemClock, schedule: (callback: () => void) => systemClock.schedule(callback, 1) };
  framings.connect({ registry: new SchemaRegistry({ url, retries: 0 }), clock, logger: silentLogger });
  return framings;
}

test('a value is framed with the id of the schema that its subject has in the registry', async () => {
  const framings = connected();
  const framing = framings.framing('protobuf', (topic) => `${topic}-value`);
  expect(framing.prefix('telemetry')).toBeUndefined();
  expect(framings.problems()).toEqual(['telemetry-value: not registered yet']);
  await new Promise<void>((resolve) => {
    framing.whenReady(resolve);
  });
  // Byte 0, the id, and [0] for the first message of the file.
  expect(framing.prefix('telemetry')).toEqual(Buffer.from([0, 0, 0, 0, 42, 0]));
  expect(framings.problems()).toEqual([]);
  expect(asked[0]?.path).toBe('/subjects/telemetry-value/versions');
  expect(asked[0]?.body).toMatchObject({ schemaType: 'PROTOBUF' });
  expect(asked[0]?.body.schema).toContain('message Telemetry');
  framings.close();
});

test.each([
  ['avro', undefined],
  ['json', 'JSON'],
] as const)('a value in %s has no message indexes', async (format, type) => {
  const framings = connected();
  const framing = framings.framing(format, () => 's');
  framing.prefix('t');
  await new Promise<void>((resolve) => {
    framing.whenReady(resolve);
  });
  expect(framing.prefix('t')).toEqual(Buffer.from([0, 0, 0, 0, 42]));
  // Avro is what a registry takes it for when nothing is said.
  expect(asked[0]?.body.schemaType ?? 'AVRO').toBe(type ?? 'AVRO');
  framings.close();
});

test('a registry that refuses is asked again, and says why messages wait', async () => {
  answer = undefined;
  const framings = connected();
  const framing = framings.framing('json', () => 's');
  framing.prefix('t');
  const ready = new Promise<void>((resolve) => {
    framing.whenReady(resolve);
  });
  await vi.waitFor(() => {
    expect(framings.problems()[0]).toMatch(/^s: (?!not registered yet)/);
  });
  answer = 7;
  await ready;
  expect(framing.prefix('t')).toEqual(Buffer.from([0, 0, 0, 0, 7]));
  framings.close();
});
