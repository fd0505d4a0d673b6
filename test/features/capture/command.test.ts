import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdminServer } from '../../../src/admin/admin-server.ts';
import { CaptureTap, MAX_CAPTURES, openCapture } from '../../../src/features/capture/capture-tap.ts';
import { readCapture } from '../../../src/features/capture/capture-file.ts';
import { until } from '../../support/until.ts';

const main = resolve(import.meta.dirname, '../../../src/cli/main.ts');

let folder: string;
let tap: CaptureTap;
let captures = 0;
let admin: AdminServer;
let child: ChildProcess | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-capture-'));
  captures = 0;
  tap = new CaptureTap({ accept: () => true }, () => 1);
  admin = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    readiness: () => ({ ready: true, conditions: [] }),
    metrics: () => [],
    capture: (query) => {
      captures++;
      return openCapture(tap, query);
    },
  });
  await admin.start();
});

afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  tap.close();
  await admin.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly status: number;
  readonly output: string;
}

function capture(...args: string[]): Promise<Ended> {
  const { promise, resolve: done } = Promise.withResolvers<Ended>();
  const started = spawn(process.execPath, [main, 'capture', '--url', url(), ...args], { cwd: folder });
  child = started;
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  started.stdout.on('data', collect);
  started.stderr.on('data', collect);
  started.once('close', (status) => {
    done({ status: status ?? -1, output });
  });
  return promise;
}

const url = (): string => `http://127.0.0.1:${admin.port}`;

async function untilAsked(): Promise<void> {
  await until(() => captures > 0, { what: 'the request for a capture' });
}

function publish(topic: string, payload: string): void {
  tap.accept(
    {
      topic: { name: topic, id: 0 },
      payload: Buffer.from(payload),
      qos: 1,
      retain: true,
      dup: false,
      packetId: 1,
      clientId: 'device-1',
      receivedAtMs: 1_767_225_600_000,
    },
    { complete() {}, resume() {} },
    0,
  );
}

async function messages(file: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of readCapture(join(folder, file))) {
    if (entry.kind === 'message') found.push(entry.message.payload.toString());
  }
  return found;
}

describe('sluice capture', () => {
  it('records as many messages of a topic filter as were asked for', async () => {
    const ended = capture('--out', 'c.jsonl.gz', '--topic', 'fleet/#', '--count', '2');
    await untilAsked();
    for (const [topic, payload] of [
      ['fleet/1', 'one'],
      ['else/1', 'no'],
      ['fleet/2', 'two'],
      ['fleet/3', 'three'],
    ] as const) {
      publish(topic, payload);
    }
    expect(await ended).toEqual({
      status: 0,
      output: '2 messages of fleet/# in c.jsonl.gz: that is all that was asked for\n',
    });
    expect(await messages('c.jsonl.gz')).toEqual(['one', 'two']);
  });

  it.each(['c.jsonl', 'c.jsonl.gz'])(
    'ends at Ctrl-C with everything in %s that was recorded',
    async (name) => {
      const ended = capture('--out', name);
      await untilAsked();
      publish('a', 'one');
      await until(() => existsSync(join(folder, name)), { what: 'the file' });
      // What has come is written before the next is looked at; the signal may come before the first.
      await until(
        async () => {
          publish('a', 'more');
          return (await messages(name).catch(() => [])).length > 0 || name.endsWith('.gz');
        },
        { what: 'a message in the file' },
      );
      child?.kill('SIGINT');
      const { status, output } = await ended;
      expect(status).toBe(0);
      expect(output).toMatch(/^\d+ messages of # in c\.jsonl(\.gz)?: stopped\n$/);
      const [, count] = /^(\d+)/.exec(output) ?? [];
      expect(await messages(name)).toHaveLength(Number(count));
    },
  );

  it('ends with the gateway, after the time, and at the size that were given', async () => {
    let ended = capture('--out', 'a.jsonl');
    await untilAsked();
    publish('a', 'one');
    tap.close();
    expect((await ended).output).toBe('1 messages of # in a.jsonl: the gateway has stopped\n');

    expect((await capture('--out', 'b.jsonl', '--seconds', '10ms')).output).toBe(
      '0 messages of # in b.jsonl: the time is over\n',
    );

    captures = 0;
    ended = capture('--out', 'c.jsonl', '--max-bytes', '1000');
    await untilAsked();
    publish('a', 'x'.repeat(2_000));
    expect((await ended).output).toBe('1 messages of # in c.jsonl: the file has reached --max-bytes\n');
  });

  it('says what is wrong: no topic filter, no place for the file, no gateway', async () => {
    const refused = await capture('--out', 'x.jsonl', '--topic', 'a/#/b');
    expect(refused).toMatchObject({ status: 1 });
    expect(refused.output).toContain('topic: found "a/#/b", expected an MQTT topic filter');
    expect((await capture('--out', 'no/folder/x.jsonl')).output).toMatch(
      /no\/folder\/x\.jsonl can't be written/,
    );
    const unreachable = await capture('--out', 'x.jsonl', '--url', 'http://127.0.0.1:1');
    expect(unreachable).toMatchObject({ status: 1 });
    expect(unreachable.output).toContain('no gateway answers at http://127.0.0.1:1');
    expect(existsSync(join(folder, 'x.jsonl'))).toBe(false);
  });
});

it('the admin port gives no payloads to browsers, and refuses a capture that makes no sense', async () => {
  const status = (path: string, headers: Record<string, string> = {}): Promise<number> =>
    new Promise((done, fail) => {
      get(`${url()}${path}`, { headers }, (response) => {
        response.destroy();
        done(response.statusCode ?? 0);
      }).on('error', fail);
    });
  expect(await status('/api/capture', { 'sec-fetch-site': 'same-origin' })).toBe(403);
  expect(await status('/api/capture?count=none')).toBe(400);
  // More than there may be at a time: each is forgotten when its reader goes away.
  for (let n = 0; n < 2 * MAX_CAPTURES; n++) {
    await until(async () => (await status('/api/capture')) === 200, { what: 'room for a capture' });
  }
});
