import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const sources = globSync('src/**/*.ts', { cwd: root }).sort();

interface Import {
  readonly file: string;
  /** `core`, `mqtt`, ... or '' for a file directly in src/. */
  readonly stage: string;
  readonly specifier: string;
  /** The stage of a relative import; undefined for a package. */
  readonly targetStage: string | undefined;
}

const imports: Import[] = sources.flatMap((file) => {
  const text = readFileSync(join(root, file), 'utf8');
  const specifiers = [
    ...text.matchAll(/^(?:import|export)\b[^;]*?\bfrom\s+'([^']+)'/gms),
    ...text.matchAll(/^import\s+'([^']+)'/gm),
    ...text.matchAll(/\bimport\(\s*'([^']+)'/g),
  ].map((match) => match[1]!);
  return specifiers.map((specifier) => ({
    file,
    stage: stageOf(file),
    specifier,
    targetStage: specifier.startsWith('.')
      ? stageOf(relative(root, resolve(root, dirname(file), specifier)))
      : undefined,
  }));
});

function stageOf(file: string): string {
  const parts = file.split('/');
  return parts.length > 2 ? parts[1]! : '';
}

/** Where a stage may look besides core/ and itself: producer/ and kafka/ are one library. */
const alliances: Record<string, readonly string[]> = { kafka: ['producer'], producer: ['kafka'] };

/** Large dependencies, and the only files that may know them. */
const soleImporters: Record<string, readonly string[]> = {
  aedes: ['src/mqtt/'],
  'mqtt-packet': ['src/mqtt/'],
  kafkajs: ['src/kafka/clients/kafkajs'],
  // A peer in the benches; its connection alone takes 31 MB.
  '@platformatic/kafka': [],
  mqtt: ['src/testbed/fleet/'],
  protobufjs: ['src/decode/'],
  fastify: ['src/admin/'],
  'prom-client': ['src/admin/'],
  yaml: ['src/config/'],
  zod: ['src/config/'],
  pino: ['src/cli/'],
  'lz4-napi': ['src/producer/', 'src/kafka/'],
  snappy: ['src/producer/', 'src/kafka/'],
  '@node-rs/crc32': ['src/producer/'],
  avsc: ['src/producer/serializers/', 'src/decode/'],
  thrift: ['src/producer/serializers/', 'src/decode/'],
  cborg: ['src/decode/'],
  '@msgpack/msgpack': ['src/decode/'],
};

describe('the house rules', () => {
  it('a stage imports core/ and itself; only gateway.ts, assembly/ and cli/ know the stages', () => {
    const strays = imports.filter(
      ({ stage, targetStage }) =>
        targetStage !== undefined &&
        stage !== '' &&
        stage !== 'cli' &&
        stage !== 'assembly' &&
        stage !== 'features' &&
        stage !== 'testbed' &&
        targetStage !== stage &&
        targetStage !== 'core' &&
        !(alliances[stage] ?? []).includes(targetStage),
    );
    expect(strays).toEqual([]);
  });

  it('core/ imports nothing but itself and Node', () => {
    const strays = imports.filter(
      ({ stage, targetStage, specifier }) =>
        stage === 'core' && targetStage !== 'core' && !specifier.startsWith('node:'),
    );
    expect(strays).toEqual([]);
  });

  it('each large dependency stays in its room', () => {
    const strays = imports.filter(({ specifier, file }) => {
      const allowed = soleImporters[specifier];
      return allowed !== undefined && !allowed.some((prefix) => file.startsWith(prefix));
    });
    expect(strays).toEqual([]);
  });

  it('avsc and thrift, which serializers and decoders use, are imported by one file of each', () => {
    for (const name of ['avsc', 'thrift']) {
      const files = imports.filter(({ specifier }) => specifier === name);
      expect(new Set(files.map(({ file }) => file)).size).toBe(new Set(files.map(({ stage }) => stage)).size);
    }
  });

  it('aedes, kafkajs, mqtt, protobufjs, cborg and msgpack are each imported by exactly one file', () => {
    const importers = ['aedes', 'kafkajs', 'mqtt', 'protobufjs', 'cborg', '@msgpack/msgpack'].map((name) => [
      name,
      new Set(imports.filter(({ specifier }) => specifier === name).map(({ file }) => file)).size,
    ]);
    expect(importers).toEqual(importers.map(([name]) => [name, 1]));
  });

  it('the producer and its adapters call no codec that compresses on the main thread', () => {
    const calling = sources.filter(
      (file) =>
        /^src\/(producer|kafka)\//.test(file) &&
        /ompress(Frame)?Sync|(gzip|deflate(Raw)?)Sync/.test(
          readFileSync(join(root, file), 'utf8').replaceAll(/decompress\w*/gi, ''),
        ),
    );
    expect(calling).toEqual([]);
  });

  it('no file is a drawer for whatever fits nowhere', () => {
    expect(sources.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.|-)/.test(file))).toEqual([]);
  });

  it("no file only re-exports, apart from the producer library's public entry", () => {
    const barrels = sources.filter((file) => {
      if (file === 'src/producer/index.ts') return false;
      const statements = readFileSync(join(root, file), 'utf8')
        .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
        .split(';')
        .map((statement) => statement.trim())
        .filter((statement) => statement !== '');
      return statements.length > 0 && statements.every((statement) => /^export\b.*\bfrom\b/s.test(statement));
    });
    expect(barrels).toEqual([]);
  });

  it('src/ itself holds nothing but the composition root', () => {
    expect(sources.filter((file) => stageOf(file) === '')).toEqual(['src/gateway.ts']);
  });

  it('every stage is in the house', () => {
    const stages = new Set(sources.map(stageOf));
    stages.delete('');
    const house =
      'admin assembly cli config core decode delivery features journal kafka mqtt producer route testbed'.split(
        ' ',
      );
    expect([...stages].filter((stage) => !house.includes(stage))).toEqual([]);
  });
});
