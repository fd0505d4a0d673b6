import { globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const sources = globSync('src/**/*.ts', { cwd: root }).sort();
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');

/** The plan of a folder is seen at a glance. */
const MOST_FILES_IN_A_FOLDER = 20;

/** Libraries that one file knows, of each room that may know them (.dependency-cruiser.mjs). */
const ONE_DOOR: Readonly<Record<string, readonly string[]>> = {
  aedes: ['src/mqtt/broker/local-broker.ts'],
  '@msgpack/msgpack': ['src/decode/'],
  avsc: ['src/decode/', 'src/producer/'],
  cborg: ['src/decode/'],
  mqtt: ['src/testbed/'],
  protobufjs: ['src/decode/'],
  thrift: ['src/decode/', 'src/producer/'],
};

/** What .dependency-cruiser.mjs can't say of src/; who may import whom stands there. */
describe('the house rules', () => {
  it('a folder of src holds at most twenty files', () => {
    const counts = new Map<string, number>();
    for (const file of sources) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    expect([...counts].filter(([, count]) => count > MOST_FILES_IN_A_FOLDER)).toEqual([]);
  });

  it('the folders of src are the ones that the import rules know', () => {
    const house =
      'admin assembly cli config core decode delivery durable-log features journal kafka mqtt producer route testbed';
    const rooms = new Set(sources.map((file) => file.split('/')[1] ?? ''));
    rooms.delete('gateway.ts');
    expect([...rooms].filter((room) => !house.split(' ').includes(room))).toEqual([]);
    expect(sources.filter((file) => file.split('/').length === 2)).toEqual(['src/gateway.ts']);
  });

  it.each(Object.entries(ONE_DOOR))(
    'the library %s is imported by one file of each room that needs it',
    (name, rooms) => {
      const importing = new RegExp(`^import\\b[^;]*\\bfrom '${name}'|\\bimport\\('${name}'\\)`, 'm');
      const importers = sources.filter((file) => importing.test(textOf(file)));
      for (const room of rooms) {
        expect(importers.filter((file) => file.startsWith(room))).toHaveLength(1);
      }
      expect(importers).toHaveLength(rooms.length);
    },
  );

  it('the producer and the connections to Kafka call no codec that compresses on the main thread', () => {
    const calling = sources.filter(
      (file) =>
        /^src\/(producer|kafka)\//.test(file) &&
        /ompress(Frame)?Sync|(gzip|deflate(Raw)?)Sync/.test(textOf(file).replaceAll(/decompress\w*/gi, '')),
    );
    expect(calling).toEqual([]);
  });

  it('no file is a drawer for whatever fits nowhere', () => {
    expect(sources.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.|-)/.test(file))).toEqual([]);
  });

  it("no file only re-exports, apart from the producer library's public entry", () => {
    const barrels = sources.filter((file) => {
      if (file === 'src/producer/index.ts') return false;
      const statements = textOf(file)
        .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
        .split(';')
        .map((statement) => statement.trim())
        .filter((statement) => statement !== '');
      return statements.length > 0 && statements.every((statement) => /^export\b.*\bfrom\b/s.test(statement));
    });
    expect(barrels).toEqual([]);
  });
});
