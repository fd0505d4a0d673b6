import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  CaptureWriter,
  linesOf,
  readCapture,
  type CaptureEntry,
} from '../../../src/features/capture/capture-file.ts';
import { beginLine } from '../../../src/features/capture/captured-message.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-capture-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const line = (at: number): string => `{"at":${at},"topic":"a","client":"c","qos":0,"text":"\u2028 ${at}"}\n`;

async function write(file: string, from: number, to: number, append = false): Promise<void> {
  const writer = await CaptureWriter.open(file, append);
  await writer.write(beginLine(from, '#'));
  for (let at = from; at < to; at++) await writer.write(line(at));
  await writer.close();
}

async function read(file: string): Promise<CaptureEntry[]> {
  const entries: CaptureEntry[] = [];
  for await (const entry of readCapture(file)) entries.push(entry);
  return entries;
}

const times = (entries: readonly CaptureEntry[]): number[] =>
  entries.flatMap((entry) => (entry.kind === 'message' ? [entry.message.receivedAtMs] : []));

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe.each(['c.jsonl', 'c.jsonl.gz'])('a capture file %s', (name) => {
  it('gives back what was written, also what was appended later, and is for its owner alone', async () => {
    const file = join(folder, name);
    await write(file, 0, 3_000);
    await write(file, 3_000, 3_010, true);
    const entries = await read(file);
    expect(times(entries)).toEqual(range(0, 3_010));
    expect(entries.filter(({ kind }) => kind === 'begin')).toHaveLength(2);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const bytes = readFileSync(file);
    expect((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').split('\n')[1]).toBe(
      line(0).trimEnd(),
    );
  });

  it('whose end is missing gives what is there and says so, and takes nothing behind it', async () => {
    const file = join(folder, name);
    await write(file, 0, 3_000);
    truncateSync(file, statSync(file).size - 9);
    const entries = await read(file);
    expect(entries.at(-1)).toEqual({ kind: 'cut' });
    const found = times(entries);
    expect(found).toEqual(range(0, found.length));
    expect(found.length).toBeGreaterThan(name.endsWith('.gz') ? 0 : 2_900);
    await expect(CaptureWriter.open(file, true)).rejects.toMatchObject({ code: 'CAPTURE_CUT' });
  });

  it('is never written over', async () => {
    const file = join(folder, name);
    await write(file, 0, 1);
    await expect(CaptureWriter.open(file, false)).rejects.toMatchObject({ code: 'CAPTURE_EXISTS' });
    expect(times(await read(file))).toEqual([0]);
  });
});

describe('what is no capture', () => {
  it('is refused with file and line', async () => {
    const file = join(folder, 'x.jsonl');
    writeFileSync(file, `${beginLine(1, '#')}${line(1)}{"at":2}\n`);
    await expect(read(file)).rejects.toMatchObject({
      code: 'CAPTURE_INVALID',
      message: expect.stringContaining(`${file}:3: \`topic\``) as string,
    });
    writeFileSync(file, line(1));
    await expect(read(file)).rejects.toThrow(`${file}:1: no capture begins like that`);
    writeFileSync(file, '');
    await expect(read(file)).rejects.toThrow('nothing in it');
    await expect(read(join(folder, 'none'))).rejects.toMatchObject({ code: 'CAPTURE_UNREADABLE' });
    await expect(CaptureWriter.open(join(folder, 'no/such/folder'), false)).rejects.toMatchObject({
      code: 'CAPTURE_UNWRITABLE',
    });
  });
});

it('a writer that waits for the disk again and again leaves nothing behind on its streams', async () => {
  const warnings: string[] = [];
  const warned = (warning: Error): void => {
    warnings.push(warning.name);
  };
  process.on('warning', warned);
  for (const name of ['c.jsonl', 'c.jsonl.gz']) {
    const writer = await CaptureWriter.open(join(folder, name), false);
    await writer.write(beginLine(1, '#'));
    const long = `{"at":1,"topic":"a","client":"c","qos":0,"text":"${'x'.repeat(200_000)}"}\n`;
    for (let n = 0; n < 30; n++) await writer.write(long);
    await writer.close();
    expect(times(await read(join(folder, name)))).toHaveLength(30);
  }
  process.off('warning', warned);
  expect(warnings).toEqual([]);
});

it('lines are the same however the bytes come', async () => {
  const bytes = Buffer.from('eins\n\nzw\u00f6lf\r\ndrei');
  for (let size = 1; size <= bytes.length; size++) {
    const chunks = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      await Promise.resolve();
    };
    const found: string[] = [];
    for await (const { text, whole } of linesOf(chunks())) found.push(`${text.trimEnd()}${whole ? '' : '…'}`);
    expect(found).toEqual(['eins', 'zw\u00f6lf', 'drei…']);
  }
});
