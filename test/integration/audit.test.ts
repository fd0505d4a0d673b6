import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { expect, it } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin } from '../../src/kafka/clients/kafkajs.ts';
import { TestGateway } from '../support/gateway.ts';
import { sharedKafka } from '../support/shared-kafka.ts';
import { sluice } from '../support/sluice-command.ts';
import { until } from '../support/until.ts';

const kafka = sharedKafka();
const MESSAGES = 300;

function lastLine(stdout: string): unknown {
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

it('sluice audit finds in Kafka what a gateway acknowledged before it was killed, and names what is gone since', async () => {
  const topic = `audit-${randomUUID()}`;
  const gateway = await TestGateway.start({
    config: `kafka: { bootstrap.servers: '${kafka.bootstrapServers}', topics: { partitions: 2 } }
audit: { directory: audit, sync.interval.ms: 20 }
`,
    files: {
      'devices/thing.yaml': `type: thing
topic: things/{device}
decode: raw
device: '{device}'
produce: { topic: ${topic}, value: raw }
ack: kafka
`,
    },
  });
  const config = join(gateway.folder, 'sluice.yaml');
  try {
    await gateway.untilReady();
    const client = await mqtt.connectAsync(gateway.mqttUrl);
    await Promise.all(
      Array.from({ length: MESSAGES }, (_, n) =>
        client.publishAsync(`things/d${n % 5}`, `reading ${n}`, { qos: 1 }),
      ),
    );
    await until(async () => (await gateway.metric('sluice_audit_entries_total')) === MESSAGES, {
      what: 'all entries to be synced',
    });
    const ledger = await sluice('ledger', '--url', gateway.adminUrl);
    expect(ledger).toMatchObject({ status: 0, stderr: '' });
    expect(ledger.stdout).toMatch(new RegExp(`^thing +things/\\{device\\} +kafka +${MESSAGES} `, 'm'));
    expect(ledger.stdout).toContain('verdict: ok');
    // It is watched without a journal too.
    expect(await gateway.metric('sluice_ledger_epoch')).toBe(1);
    await client.endAsync();
    await gateway.kill9();

    const sound = await sluice('audit', '--config', config, '--json');
    expect(sound).toMatchObject({ status: 0, stderr: '' });
    expect(lastLine(sound.stdout)).toMatchObject({
      verdict: 'ok',
      judged: MESSAGES,
      missing: 0,
      notJudged: 0,
    });
    const later = await sluice('audit', '--config', config, '--json', '--since', '2030-01-01');
    expect(lastLine(later.stdout)).toMatchObject({ verdict: 'ok', judged: 0 });

    // The topic is made anew, with fewer records, as an operator's mistake would.
    const admin = createAdmin({
      bootstrapServers: kafka.bootstrapServers.split(','),
      clientId: 'test',
      logger: silentLogger,
    });
    await admin.connect();
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] });
    const deleted = await sluice('audit', '--config', config);
    expect(deleted.status).toBe(0);
    expect(deleted.stdout).toMatch(/deleted since +2 /);
    expect((await sluice('audit', '--config', config, '--strict')).status).toBe(2);
    await admin.deleteTopics({ topics: [topic] });
    await admin.disconnect();

    const gone = await sluice('audit', '--config', config);
    expect(gone.status).toBe(2);
    expect(gone.stdout).toContain(`${topic}/0/0  key d`);
    expect(gone.stdout).toContain('verdict: DIFFERENT');
    await writeFile(config, 'kafka: { bootstrap.servers: "127.0.0.1:1" }\n');
    expect((await sluice('audit', '--config', config)).stderr).toContain('no audit log is kept');
  } finally {
    await gateway.stop();
  }
}, 120_000);
