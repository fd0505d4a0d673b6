import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { jsonSchemas } from '../../scripts/json-schemas.ts';
import { drawBlueprint } from '../../src/assembly/blueprint.ts';
import { ConfigFolder, PROFILE } from '../config/files.ts';

const root = join(import.meta.dirname, '../..');
const SLUICE = 'schema/sluice.schema.json';
const PROFILES = 'schema/profile.schema.json';

const validators = new Map<string, ValidateFunction>();
/** What a validator of its own finds wrong with a file. */
const problems = (schema: string, text: string): string[] => {
  const validate = validators.get(schema)!;
  return validate(parse(text)) ? [] : validate.errors!.map((error) => JSON.stringify(error));
};

let home: ConfigFolder;
beforeAll(() => {
  home = new ConfigFolder();
  for (const name of [SLUICE, PROFILES]) {
    const ajv = new Ajv({ strict: true, allowUnionTypes: true });
    validators.set(name, ajv.compile(JSON.parse(readFileSync(join(root, name), 'utf8')) as object));
  }
});
afterAll(() => {
  home.remove();
});

/** Whether `sluice check` finds a fault. */
const isRefused = (config: string, profile = PROFILE): boolean => {
  const file = home.write('sluice.yaml', config);
  home.write('devices/sensor.yaml', profile);
  return drawBlueprint(file, {}).faults.length > 0;
};

test('the files in schema/ are what the program checks by (npm run docs writes them)', async () => {
  for (const [path, text] of await jsonSchemas()) {
    expect(readFileSync(join(root, path), 'utf8'), path).toBe(text);
  }
});

const shipped = globSync(['sluice.yaml', 'devices/*.yaml', 'bench/devices/*.yaml'], { cwd: root }).sort();

test.each(shipped)('%s names its schema for editors in its first line, and keeps to it', (file) => {
  const text = readFileSync(join(root, file), 'utf8');
  const named = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text)?.[1] ?? '';
  const schema = relative(root, resolve(root, dirname(file), named));
  expect(schema).toBe(file === 'sluice.yaml' ? SLUICE : PROFILES);
  expect(problems(schema, text)).toEqual([]);
});

test('the schemas come with the package, and so does what names them', () => {
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] };
  expect(files).toEqual(expect.arrayContaining(['schema', 'sluice.yaml', 'devices']));
});

test('the profiles and pieces of sluice.yaml in the documentation keep to the schemas', () => {
  const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root });
  const blocks = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => ({
      page,
      text,
    })),
  );
  const keys = Object.keys(
    (parse(readFileSync(join(root, SLUICE), 'utf8')) as { properties: object }).properties,
  );
  const profiles = blocks.filter(({ text }) => text.includes('\ntype: '));
  const pieces = blocks.filter(({ text }) => keys.includes(/^[a-z.]+(?=:)/m.exec(text)?.[0] ?? ''));
  expect([profiles.length > 0, pieces.length > 5]).toEqual([true, true]);
  for (const { page, text } of profiles) expect(problems(PROFILES, text), page).toEqual([]);
  for (const { page, text } of pieces) expect(problems(SLUICE, text), page).toEqual([]);
});

describe('what both the schema and check take', () => {
  test.each([
    ['sections with nothing in them', 'mqtt:\nkafka:\n  topics:\n  producer:\ncommands:\n'],
    ['numbers of the producer as text', 'kafka: { producer: { linger.ms: "25", acks: 1 } }'],
    ['brokers as a list', 'kafka: { bootstrap.servers: [a:1, "b:2,c:3"] }'],
    ['a login in any case', 'kafka: { bootstrap.servers: a:1, security.protocol: ssl }'],
    ['a number or the word unlimited', 'journal: { max.age.ms: 60000, replay.rate: unlimited }'],
    ['topic settings under Kafka’s names', 'kafka: { topics: { config: { retention.ms: 1, x: true } } }'],
  ])('%s', (_, config) => {
    expect(problems(SLUICE, config)).toEqual([]);
    const ack = config.includes('acks') ? `${PROFILE}ack: receive\n` : PROFILE;
    expect(isRefused(config, ack)).toBe(false);
  });
});

describe('what both the schema and check refuse', () => {
  test.each([
    ['an unknown key', 'mqtt: { inflght.quota: 3 }'],
    ['an unknown section', 'wholly.unheard.of: 1'],
    ['a port past the last', 'admin: { port: 65536 }'],
    ['a number that is none', 'admin: { port: eighty }'],
    ['half a millisecond', 'shutdown.timeout.ms: 1.5'],
    ['another word', 'unrouted: deadletter'],
    ['a list where a map belongs', 'mqtt: []'],
    ['no listener at all', 'mqtt: { listeners: [] }'],
    ['a listener of an unknown type', 'mqtt: { listeners: [{ type: quic }] }'],
    ['a topic name with a blank', 'unrouted.topic: "a b"'],
    ['a section without its key that must be', 'audit: { max.bytes: 1073741824 }'],
    ['a command topic without an MQTT topic', 'commands: [{ topic: a }]'],
    ['a share above all', 'journal: { replay.share: 1.5 }'],
    ['an age that is no number', 'journal: { max.age.ms: 7d }'],
    ['a password that is a number', 'kafka: { sasl.password: 7 }'],
    ['an unknown protocol', 'kafka: { bootstrap.servers: a:1, security.protocol: TLS }'],
    ['an unknown setting of the producer', 'kafka: { producer: { linger: 5 } }'],
    ['a setting of the producer out of its range', 'kafka: { producer: { linger.ms: -1 } }'],
    ['a setting that the gateway decides', 'kafka: { producer: { max.block.ms: 1 } }'],
    ['security that stands in the producer', 'kafka: { producer: { sasl.username: a } }'],
    ['a nested name of Kafka’s', 'kafka: { topics: { config: { retention: { ms: 1 } } } }'],
  ])('in sluice.yaml: %s', (_, config) => {
    expect(problems(SLUICE, config)).not.toEqual([]);
    expect(isRefused(config)).toBe(true);
  });

  test.each([
    ['an unknown key', 'acks: kafka'],
    ['an unknown contract', 'ack: disk'],
    ['a metric without its field', 'metrics: { temperature: { unit: Cel } }'],
    ['a metric that is only a name', 'metrics: { temperature: temp }'],
    ['a unit of time that there is not', 'time: { field: ts, unit: minutes }'],
    ['a share of everything left out', 'simulate: { dropout: 1 }'],
    ['a number for an attribute', 'attributes: { floor: 3 }'],
    ['a header that there is not', 'produce: { topic: t, headers: [payload] }'],
    ['a topic name with a blank', 'produce: { topic: a b }'],
    ['a format that there is not', 'decode: xml'],
    ['a protobuf without its message', 'decode: { protobuf: { file: a.proto } }'],
    ['braces without quotes', 'device: {device}'],
  ])('in a profile: %s', (_, line) => {
    const key = /^[a-z]+/.exec(line)![0];
    const others = PROFILE.split('\n').filter((other) => !other.startsWith(`${key}:`));
    const profile = [...others, line, ''].join('\n');
    expect(problems(PROFILES, profile)).not.toEqual([]);
    expect(isRefused('profiles: devices', profile)).toBe(true);
  });
});
