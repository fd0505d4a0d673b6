import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { emptyJournalRecord } from '../../src/journal/journal-record.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { MemoryFs } from '../durable-log/memory-fs.ts';
import { openRig, readAll } from './rig.ts';

process.env.JOURNAL_DATA_KEY = '5a'.repeat(32);

/*
 * data-0.1.0/ is what version 0.1.0 left behind, in the clear and encrypted, made with its own sources by a script on
 * a file system in memory: a life whose segment was compacted to 3 of 60 records; one with records of QoS 1, and of
 * QoS 2 with their numbers, headers and without a key, some of them done, a note and a checkpoint, ended in an orderly way;
 * and one with records that were done after its last checkpoint, which ended in a crash while a group of four was
 * being written, of which 250 bytes are there. expected.json is what 0.1.0 itself read from it.
 */
interface Expected {
  readonly note: string;
  readonly recalled: unknown;
  readonly unacknowledged: number;
  readonly records: readonly { readonly value: string }[];
}

function directoryOf010(variant: string): { readonly fs: MemoryFs; readonly expected: Expected } {
  const folder = join(import.meta.dirname, 'data-0.1.0', variant);
  const fs = new MemoryFs();
  for (const name of readdirSync(folder)) {
    if (name !== 'expected.json') fs.put(`/a/${name}`, readFileSync(join(folder, name)));
  }
  return { fs, expected: JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected };
}

async function recordsIn(journal: Journal): Promise<object[]> {
  const text = (bytes: Uint8Array | null): string | null =>
    bytes === null ? null : Buffer.from(bytes).toString('base64');
  const reader = journal.openReader();
  const record = emptyJournalRecord();
  const records: object[] = [];
  for (let batch; (batch = await reader.next(4096)) !== undefined;) {
    while (batch.next(record)) {
      const { key, value, headers } = record;
      records.push({ ...record, key: text(key), value: text(value), headers: text(headers) });
    }
  }
  return records;
}

describe.each([
  ['clear', {}],
  ['encrypted', { key: { environment: 'JOURNAL_DATA_KEY' } }],
] as const)('a journal that version 0.1.0 wrote (%s)', (variant, settings) => {
  it('is read completely: every record that is open, the note, and the publications that sessions must know', async () => {
    const { fs, expected } = directoryOf010(variant);
    const { journal } = await openRig(fs, settings);
    expect(await recordsIn(journal)).toEqual(expected.records);
    expect(journal.recoveredNote).toBe(expected.note);
    expect(journal.recalled).toEqual(expected.recalled);
    expect(journal.recovery).toMatchObject({
      segments: 3,
      scanned: 1,
      unacknowledged: expected.unacknowledged,
      damage: [],
      hadCheckpoint: true,
      setAside: [],
    });
    await journal.close();
  });

  it('goes on: what is new stands behind it, and after a crash what is done is not read again', async () => {
    const { fs, expected } = directoryOf010(variant);
    const rig = await openRig(fs, settings);
    const old = await readAll(rig.journal);
    for (const { position } of old.slice(0, -5)) rig.journal.acknowledge(position);
    rig.append(1000);
    await rig.journal.flush();
    await rig.journal.checkpoint();
    rig.disk.gate = new Promise(() => {});
    fs.kill();
    const next = await openRig(fs, settings);
    const numbers = expected.records.map(({ value }) => Buffer.from(value, 'base64').readDoubleLE(0));
    expect((await readAll(next.journal)).map(({ number }) => number)).toEqual([...numbers.slice(-5), 1000]);
    expect(next.journal.recovery.damage).toEqual([]);
  });
});
