import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { loadConfig } from '../src/config/load.ts';
import { describeFault } from '../src/config/faults.ts';
import { KAFKA_VERSION } from '../src/testbed/local-kafka/jars.ts';

const root = join(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly depends_on?: readonly string[] | Readonly<Record<string, object>>;
  readonly volumes?: readonly string[];
  readonly command?: readonly string[];
}

const compose = parse(read('docker-compose.yml')) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const dockerfile = read('Dockerfile').replaceAll('\\\n', ' ').split('\n');
const hasCompose = spawnSync('docker', ['compose', 'version']).status === 0;

test('Node runs with the same options and environment from a clone, a package and an image', async () => {
  const module = new URL('../bin/node-options.js', import.meta.url).href;
  const { NODE_OPTIONS, NODE_ENVIRONMENT } = (await import(module)) as {
    NODE_OPTIONS: string[];
    NODE_ENVIRONMENT: Record<string, string>;
  };
  const variables = Object.entries(NODE_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
  expect(read('bin/sluice.js').split('\n')[0]).toBe(
    `#!/usr/bin/env -S ${[...variables, 'node', ...NODE_OPTIONS].join(' ')}`,
  );
  expect(dockerfile).toContain(`ENV NODE_ENV=production ${variables.join(' ')}`);
  expect(dockerfile).toContain(
    `ENTRYPOINT ${JSON.stringify(['node', ...NODE_OPTIONS, 'bin/sluice.js']).replaceAll(',', ', ')}`,
  );
});

describe('docker-compose.yml', () => {
  test.skipIf(!hasCompose)('is valid for docker compose itself', () => {
    const { status, stderr } = spawnSync('docker', ['compose', 'config', '--quiet'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test('starts the same Kafka as npm start', () => {
    expect(compose.services.kafka?.image).toBe(`apache/kafka:${KAFKA_VERSION}`);
  });

  test('configures Sluice by variables that Sluice knows', () => {
    const environment = compose.services.sluice?.environment ?? {};
    const { config, faults } = loadConfig(
      join(root, 'sluice.yaml'),
      Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)])),
    );
    expect(faults.map(describeFault)).toEqual([]);
    expect(config.kafka.bootstrapServers).toEqual(['kafka:19092']);
  });

  test('publishes ports to this machine alone', () => {
    for (const { ports = [] } of Object.values(compose.services)) {
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });

  test('names only services and volumes that it has', () => {
    const known = Object.keys(compose.services);
    for (const service of Object.values(compose.services)) {
      const needed = service.depends_on ?? [];
      for (const name of Array.isArray(needed) ? needed : Object.keys(needed)) expect(known).toContain(name);
      for (const volume of service.volumes ?? [])
        expect(compose.volumes).toHaveProperty(volume.split(':')[0]!);
    }
    expect(known).toContain(/^mqtt:\/\/(\w+):/.exec(compose.services.fleet!.command![2]!)![1]);
  });

  test('keeps the data of its Kafka in the volume', () => {
    const { environment, volumes } = compose.services.kafka!;
    expect(volumes).toEqual([`kafka-data:${String(environment!.KAFKA_LOG_DIRS)}`]);
  });

  test('tells Kafka a protocol for each of its listeners', () => {
    const { environment = {} } = compose.services.kafka!;
    const names = (key: string): string[] =>
      String(environment[key])
        .split(',')
        .map((entry) => entry.split(':')[0]!);
    expect(names('KAFKA_LISTENER_SECURITY_PROTOCOL_MAP').sort()).toEqual(names('KAFKA_LISTENERS').sort());
    expect(names('KAFKA_ADVERTISED_LISTENERS').sort()).toEqual(['CONTAINERS', 'HOST']);
  });
});

describe('Dockerfile', () => {
  const lastStage = dockerfile.slice(dockerfile.findLastIndex((line) => line.startsWith('FROM')));

  test('copies only files that the build context has', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const sources = dockerfile
      .filter((line) => line.startsWith('COPY') && !line.includes('--from'))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      expect(existsSync(join(root, source)), `${source} exists`).toBe(true);
      expect(allowed, `.dockerignore lets ${source} through`).toContain(source);
    }
  });

  test('ships everything that a package ships', () => {
    const { files } = JSON.parse(read('package.json')) as { files: string[] };
    const text = lastStage.join('\n');
    for (const file of files.filter((name) => name !== 'CHANGELOG.md')) expect(text).toContain(file);
  });

  test('runs as an unprivileged user, on the Node that the package needs', () => {
    expect(lastStage).toContain('USER node');
    expect(lastStage[0]).toBe('FROM node:24-slim');
  });

  test('says whether it is healthy', () => {
    const check = lastStage.find((line) => line.startsWith('HEALTHCHECK'));
    expect(check).toContain('/healthz');
    expect(() => JSON.parse(check!.slice(check!.indexOf('CMD') + 3)) as unknown).not.toThrow();
  });
});
