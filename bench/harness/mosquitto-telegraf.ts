import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePorts } from '../../src/testbed/local-kafka/ports.ts';
import { BridgeProcess } from './bridge-process.ts';
import type { RunningBridge, Target } from './contestants.ts';

/**
 * mosquitto, and Telegraf as its subscriber: the pair that one finds where nobody wrote a bridge. mosquitto answers a
 * device when it has the message in memory. It may keep as many as Kafka's slowness asks for (by default it drops
 * what comes after 1,000), and Telegraf acknowledges to it what Kafka has.
 * `folder` is what build.sh made.
 */
export async function startMosquittoTelegraf(folder: string, target: Target): Promise<RunningBridge> {
  const [port] = (await findFreePorts(1)) as [number];
  const settings = mkdtempSync(join(tmpdir(), 'sluice-bench-mosquitto-'));
  const brokerFile = join(settings, 'mosquitto.conf');
  const agentFile = join(settings, 'telegraf.toml');
  writeFileSync(brokerFile, brokerSettings(port, target));
  writeFileSync(agentFile, agentSettings(port, target));
  const running: BridgeProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const process of running.toReversed()) await process.stop();
    rmSync(settings, { recursive: true, force: true });
  };
  try {
    const broker = await BridgeProcess.start(
      [join(folder, 'mosquitto.sh'), '-c', brokerFile],
      {},
      /listen socket on port (\d+)/,
    );
    running.push(broker);
    const agent = await BridgeProcess.start(
      [join(folder, 'telegraf'), '--config', agentFile],
      {},
      /Connected \[\S+:(\d+)\]/,
    );
    running.push(agent);
    // What comes before the subscription goes nowhere.
    await broker.said(/telegraf 1 #/);
    return { pids: running.map(({ pid }) => pid), port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function brokerSettings(port: number, { workload, setting }: Target): string {
  const listener = [`listener ${port} 127.0.0.1`, 'allow_anonymous true'];
  if (workload.tls && setting.certificate !== undefined) {
    listener.push(`certfile ${setting.certificate}`, `keyfile ${setting.certificate}`);
  }
  return `${[
    ...listener,
    // Its standard output is held back until a buffer is full.
    'log_dest stderr',
    'log_type error',
    'log_type information',
    'log_type subscribe',
    // Started by root it would become somebody who can't read the certificate.
    'user root',
    'set_tcp_nodelay true',
    'max_inflight_messages 0',
    'max_queued_messages 0',
  ].join('\n')}\n`;
}

/**
 * A payload of protobuf is no text, and Telegraf trims texts: it has to go through base64. A batch is written when it
 * is full, and every `linger.ms`.
 */
function agentSettings(port: number, { workload, bootstrapServers, topic }: Target): string {
  const { tls, lingerMs } = workload;
  const brokers = bootstrapServers.split(',').map((server) => `"${server}"`);
  return `
[agent]
  metric_batch_size = 5000
  metric_buffer_limit = 1000000
  flush_interval = "${Math.max(1, lingerMs)}ms"
  omit_hostname = true

[[inputs.mqtt_consumer]]
  servers = ["${tls ? 'ssl' : 'tcp'}://127.0.0.1:${port}"]
  insecure_skip_verify = true
  topics = ["#"]
  qos = 1
  client_id = "telegraf"
  persistent_session = true
  max_undelivered_messages = 100000
  topic_tag = ""
  data_format = "value"
  data_type = "base64"
  [[inputs.mqtt_consumer.topic_parsing]]
    topic = "+/+/+/telemetry"
    tags = "_/_/device/_"

[[outputs.kafka]]
  brokers = [${brokers.join(', ')}]
  topic = "${topic}"
  version = "2.8.0"
  routing_tag = "device"
  compression_codec = 3
  required_acks = -1
  data_format = "template"
  template = '{{ .Field "value" | b64dec }}'
`;
}
