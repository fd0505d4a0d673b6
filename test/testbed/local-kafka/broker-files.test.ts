import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import {
  brokerFolder,
  brokerProperties,
  ensureFormatted,
  randomClusterId,
  readClusterId,
  writeBrokerFiles,
  type BrokerFolder,
} from '../../../src/testbed/local-kafka/broker-files.ts';

let folder: BrokerFolder;

beforeEach(async () => {
  folder = brokerFolder(await mkdtemp(join(tmpdir(), 'sluice-files-')));
});

afterEach(async () => {
  await rm(folder.path, { recursive: true, force: true });
});

const NODES = [1, 2, 3].map((id) => ({ id, port: 20_000 + id, controllerPort: 21_000 + id }));

test('one node keeps one copy, three nodes three, of which two must be in sync', () => {
  const alone = brokerProperties(folder, NODES[0]!, NODES.slice(0, 1));
  expect(alone).toMatchObject({ 'default.replication.factor': 1, 'min.insync.replicas': 1 });
  const three = brokerProperties(folder, NODES[1]!, NODES);
  expect(three).toMatchObject({ 'default.replication.factor': 3, 'min.insync.replicas': 2, 'node.id': 2 });
  expect(three['controller.quorum.voters']).toBe('1@127.0.0.1:21001,2@127.0.0.1:21002,3@127.0.0.1:21003');
});

test('a broker listens on loopback alone and makes no topic that nobody created', () => {
  const properties = brokerProperties(folder, NODES[0]!, NODES.slice(0, 1));
  expect(properties.listeners).toBe('PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:21001');
  expect(properties['auto.create.topics.enable']).toBe(false);
});

test('server.properties is written in the format that Java reads', async () => {
  await writeBrokerFiles(folder, { 'a.path': 'C:\\kafka', 'a.number': 3 });
  expect(await readFile(folder.properties, 'utf8')).toMatch(/^#.*\na\.path=C:\\\\kafka\na\.number=3\n$/);
});

test('a formatted folder is used as it is, without Java', async () => {
  await mkdir(folder.data);
  await writeFile(join(folder.data, 'meta.properties'), '#\nnode.id=1\nversion=1\ncluster.id=abc_DEF-1\n');
  expect(await readClusterId(folder)).toBe('abc_DEF-1');
  expect(await ensureFormatted('/no/java', '/no/jars', folder, {})).toBe('abc_DEF-1');
});

test('a folder with topics but without meta.properties is never cleared', async () => {
  await mkdir(join(folder.data, 'telemetry-0'), { recursive: true });
  await expect(ensureFormatted('/no/java', '/no/jars', folder, {})).rejects.toMatchObject({
    code: 'KAFKA_DATA_FOLDER_DAMAGED',
  });
  expect(await readdir(folder.data)).toEqual(['telemetry-0']);
});

test('a format that fails leaves no data folder behind', async () => {
  await expect(ensureFormatted('/bin/false', '/no/jars', folder, {})).rejects.toMatchObject({
    code: 'KAFKA_FORMAT_FAILED',
  });
  expect(await readdir(folder.path)).toEqual([]);
});

test('cluster ids are what Kafka takes for one', () => {
  for (let i = 0; i < 1000; i++) expect(randomClusterId()).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
});
