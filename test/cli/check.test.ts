import { execFile } from 'node:child_process';
import { cpSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CertificateAuthority } from '../support/certificates.ts';

const projectRoot = resolve(import.meta.dirname, '../..');

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-check-'));
  for (const name of ['devices', 'proto', 'sluice.yaml']) {
    cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
  }
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface CheckResult {
  readonly status: number;
  readonly output: string;
}

async function check(
  environment: Record<string, string> = {},
  ...options: readonly string[]
): Promise<CheckResult> {
  const args = [join(projectRoot, 'src/cli/main.ts'), 'check', '--config', 'sluice.yaml', ...options];
  return new Promise((done) => {
    execFile(
      process.execPath,
      args,
      { cwd: folder, env: { ...process.env, ...environment } },
      (error, stdout, stderr) => {
        done({ status: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
      },
    );
  });
}

async function edit(file: string, from: string, to: string): Promise<void> {
  const path = join(folder, file);
  const text = await readFile(path, 'utf8');
  expect(text).toContain(from);
  await writeFile(path, text.replace(from, to));
}

async function lineOf(file: string, text: string): Promise<number> {
  const lines = (await readFile(join(folder, file), 'utf8')).split('\n');
  return lines.findIndex((line) => line.includes(text)) + 1;
}

describe('sluice check', () => {
  it('sluice check finds nothing wrong with what is shipped', async () => {
    const { status, output } = await check();
    expect(status).toBe(0);
    expect(output).toMatch(/sluice\.yaml and \d+ device profiles are sound/);
  });

  it('sluice check reports the faults of all files and stages at once, each with file, line, key, found and expected', async () => {
    await edit('sluice.yaml', 'port: 1883', 'port: 188300');
    await edit('sluice.yaml', 'linger.ms: 25', 'linger.msec: 25');
    await edit('devices/env-sensor.yaml', 'field: hum', 'field: humidty');
    await edit('devices/tracker.yaml', 'ack:', 'acknowledge:');
    const { status, output } = await check();
    expect(status).toBe(1);
    const lines = output.trim().split('\n');
    const starts = [
      `sluice.yaml:${await lineOf('sluice.yaml', '188300')} mqtt.listeners[0].port: found 188300, expected`,
      `sluice.yaml:${await lineOf('sluice.yaml', 'linger.msec')} kafka.producer.linger.msec: found`,
      `devices/env-sensor.yaml:${await lineOf('devices/env-sensor.yaml', 'humidty')} metrics.humidity.field: found`,
      `devices/tracker.yaml:${await lineOf('devices/tracker.yaml', 'acknowledge:')} acknowledge: found`,
    ];
    for (const [index, start] of starts.entries()) expect(lines[index]).toContain(start);
    expect(lines).toHaveLength(starts.length);
    expect(output).toContain("'linger.ms'");
  });

  it('sluice check names the variable of a fault that comes from the environment', async () => {
    const { status, output } = await check({ SLUICE_ADMIN__PORT: 'eighty' });
    expect(status).toBe(1);
    expect(output).toMatch(/^environment SLUICE_ADMIN__PORT: found "eighty", expected/m);
  });

  it('sluice check refuses a producer that could not keep what the profiles promise', async () => {
    await edit('sluice.yaml', 'acks: all', 'acks: 1');
    const { status, output } = await check();
    expect(status).toBe(1);
    expect(output).toMatch(/kafka\.producer\.acks: found 1, expected all, because .*env-sensor/);
    expect(output.trim().split('\n')).toHaveLength(1);
  });

  it('sluice check warns of what is legal and most probably a mistake, with a code and its place, and still says that it is sound', async () => {
    await edit('sluice.yaml', 'linger.ms: 25', 'linger.ms: 0');
    await edit('sluice.yaml', 'create: true,', 'create: true, config: { max.message.bytes: 1000 },');
    await edit('devices/tracker.yaml', 'produce: {', 'produce: { key: all,');
    const { status, output } = await check();
    expect(status).toBe(0);
    const line = await lineOf('sluice.yaml', 'linger.ms: 0');
    expect(output).toContain(
      `warning SMALL_BATCHES sluice.yaml:${line} kafka.producer.linger.ms: found 0, better`,
    );
    expect(output).toMatch(/^warning OVERSIZED_FOR_TOPIC sluice\.yaml.* better at most 1000/m);
    expect(output).toMatch(
      /^warning HARD_CODED_PARTITION devices\/tracker\.yaml:\d+ produce\.key: found 'all'/m,
    );
    expect(output).toContain('are sound');
  });

  it('sluice check reads the certificates and keys of listeners', async () => {
    await edit('sluice.yaml', '{ type: tcp,', '{ type: tls, tls: { cert: server.pem, key: server.key },');
    const missing = await check();
    expect(missing.status).toBe(1);
    const line = await lineOf('sluice.yaml', 'server.pem');
    expect(missing.output).toMatch(
      new RegExp(
        `^sluice\\.yaml:${line} mqtt\\.listeners\\[0\\]\\.tls: found .*server\\.pem.*, expected a certificate`,
      ),
    );
    const authority = new CertificateAuthority();
    try {
      const { certificate, key } = authority.issue('gateway');
      await writeFile(join(folder, 'server.pem'), certificate);
      await writeFile(join(folder, 'server.key'), authority.issue('other').key);
      const another = await check();
      expect(another.status).toBe(1);
      expect(another.output).toMatch(/listeners\[0\]\.tls: found .*key values mismatch/);
      await writeFile(join(folder, 'server.key'), key);
      expect(await check()).toMatchObject({ status: 0 });
    } finally {
      authority.remove();
    }
  });

  it('sluice check prints what is in force with --print, each value with its origin, as YAML that can be read', async () => {
    const { status, output } = await check(
      { SLUICE_KAFKA__CLIENT_ID: 'edge-7', SLUICE_KAFKA__PRODUCER__LINGER_MS: '0' },
      '--print',
    );
    expect(status).toBe(0);
    expect(output).toContain('\n  client.id: edge-7 # SLUICE_KAFKA__CLIENT_ID\n');
    const line = await lineOf('sluice.yaml', 'admin:');
    expect(output).toContain(`\n  port: 8080 # sluice.yaml:${line}\n`);
    expect(output).toMatch(/^# warning SMALL_BATCHES/);
    expect(parse(output)).toMatchObject({ kafka: { 'client.id': 'edge-7', producer: { 'linger.ms': 0 } } });
  });

  it('sluice check prints a device profile with --print and its type, and names the types when there is no such', async () => {
    const { status, output } = await check({}, '--print', 'env-sensor');
    expect(status).toBe(0);
    const line = await lineOf('devices/env-sensor.yaml', 'type:');
    expect(output).toContain(`\ntype: env-sensor # devices/env-sensor.yaml:${line}\n`);
    const unknown = await check({}, '--print', 'env-sensors');
    expect(unknown.status).toBe(1);
    expect(unknown.output).toMatch(
      /no profile has the device type env-sensors, expected one of .*env-sensor,/,
    );
  });

  it('sluice check prints nothing but the faults where there are some, with --print too', async () => {
    const { status, output } = await check({ SLUICE_ADMIN__PORT: 'eighty' }, '--print');
    expect(status).toBe(1);
    expect(output).toBe(
      'environment SLUICE_ADMIN__PORT: found "eighty", expected an integer from 0 to 65535\n',
    );
  });

  it('sluice check says so when the configuration file is not there', async () => {
    await rm(join(folder, 'sluice.yaml'));
    const { status, output } = await check();
    expect(status).toBe(1);
    expect(output).toMatch(/^sluice\.yaml: found/m);
  });
});

describe('sluice check on the way to Kafka', () => {
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule';
  const environment = {
    SLUICE_KAFKA__BOOTSTRAP_SERVERS: 'broker-1:9093',
    SLUICE_KAFKA__SECURITY_PROTOCOL: 'SASL_SSL',
    SLUICE_KAFKA__SASL_MECHANISM: 'SCRAM-SHA-512',
    SLUICE_KAFKA__SASL_JAAS_CONFIG: `${scram} required username="alice" password="{top-secret}";`,
  };

  it('sluice check takes the security of Kafka from the environment, whatever characters a secret begins with', async () => {
    expect(await check(environment)).toMatchObject({ status: 0 });
    const { status } = await check({
      ...environment,
      SLUICE_KAFKA__SASL_JAAS_CONFIG: '',
      SLUICE_KAFKA__SASL_USERNAME: '007',
      SLUICE_KAFKA__SASL_PASSWORD: '[top-secret',
    });
    expect(status).toBe(0);
  });

  it('sluice check names a fault in the security of Kafka by key and variable, and never shows a secret', async () => {
    const { status, output } = await check({
      ...environment,
      SLUICE_KAFKA__SASL_MECHANISM: 'PLAIN',
      SLUICE_KAFKA__SSL_TRUSTSTORE_LOCATION: 'missing.pem',
      SLUICE_KAFKA__PRODUCER__SASL_PASSWORD: 'top-secret',
    });
    expect(status).toBe(1);
    expect(output).toMatch(
      /SLUICE_KAFKA__SASL_JAAS_CONFIG: found a value \(hidden\), expected PlainLoginModule/,
    );
    expect(output).toMatch(/SLUICE_KAFKA__SSL_TRUSTSTORE_LOCATION: found no file .*missing\.pem/);
    expect(output).toMatch(/SLUICE_KAFKA__PRODUCER__SASL_PASSWORD: .*set once, in kafka\.sasl\.password/);
    expect(output).not.toContain('top-secret');
  });

  it('sluice check refuses security for the local Kafka, which has none', async () => {
    const { status, output } = await check({ ...environment, SLUICE_KAFKA__BOOTSTRAP_SERVERS: '' });
    expect(status).toBe(1);
    expect(output).toContain('kafka.bootstrap.servers beside it');
  });

  it("sluice check refuses 0.1.0's adapter kafkajs with the sentence that the gateway's own producer is the only one", async () => {
    const { status, output } = await check({ SLUICE_KAFKA__ADAPTER: 'kafkajs' });
    expect(status).toBe(1);
    expect(output).toContain("expected native, or nothing: the gateway's own producer is the only one");
    expect((await check({ SLUICE_KAFKA__ADAPTER: 'native' })).status).toBe(0);
  });
});
