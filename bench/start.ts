/**
 * `npm run bench:start`: from the start of `sluice run`, with a Kafka that runs, until the first device has its
 * PUBACK: a message that came with the first connection and is in Kafka.
 */
import { rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from '../src/cli/terminal/option-values.ts';
import { simulatedTypes } from '../src/testbed/fleet/simulated-types.ts';
import { usableConfig } from '../src/cli/terminal/usable-config.ts';
import { BenchKafka } from './harness/bench-kafka.ts';
import { CONTESTANTS, titleOf, type Contestant, type Target } from './harness/contestants.ts';
import { BenchTopic } from './harness/kafka-topic.ts';
import { describeMachine, machine } from './harness/machine.ts';
import { cpuMicros } from './harness/process-figures.ts';
import { writeSetting } from './harness/setting.ts';
import { chosenWorkloads } from './harness/workloads.ts';
import { encodeConnect, encodeRing } from './load/frames.ts';

const CONNACK_AND_PUBACK_BYTES = 8;
const TOPIC = 'bench-start';

interface Start {
  /** From the start of the process until it says that it is ready. */
  readonly readyMs: number;
  /** From the start of the process until the PUBACK. */
  readonly pubackMs: number;
  readonly cpuMs: number;
}

await new Command('start')
  .description('time from the start of sluice run to the first PUBACK')
  .option('--rounds <number>', 'starts, of which the median counts', wholeNumber(1), 7)
  .action(main)
  .parseAsync();

async function main({ rounds }: { readonly rounds: number }): Promise<void> {
  const at = machine();
  const kafka = await BenchKafka.start();
  try {
    const { bootstrapServers } = kafka.kafka;
    const [workload] = chosenWorkloads(['fleet'], {}, 1);
    if (workload === undefined) throw new Error('there is no workload fleet');
    const topic = await BenchTopic.create(bootstrapServers, TOPIC, workload.partitions);
    for (const contestant of CONTESTANTS.filter(
      ({ name, contract }) => name === 'sluice' && contract === 'kafka',
    )) {
      const { value, contract } = contestant;
      if (value === 'nothing') continue;
      const setting = writeSetting({ workload, bootstrapServers, topic: TOPIC, value, contract });
      const target = { workload, bootstrapServers, topic: TOPIC, setting };
      // The first start of a clone has its sources to translate, and keeps the result.
      rmSync(resolve(import.meta.dirname, '../.cache/compiled'), { recursive: true, force: true });
      const first = await measureStart(contestant, target);
      const starts: Start[] = [];
      for (let round = 0; round < rounds; round++) starts.push(await measureStart(contestant, target));
      print(titleOf(contestant), first, starts);
      setting.remove();
    }
    await topic.remove();
  } finally {
    await kafka.stop();
  }
  process.stdout.write(`${describeMachine(at)}\n`);
}

async function measureStart(contestant: Contestant, target: Target): Promise<Start> {
  const packets = firstPackets(target);
  const startMs = performance.now();
  const bridge = await contestant.start(target);
  try {
    const readyMs = performance.now() - startMs;
    const socket = connect(bridge.port, '127.0.0.1');
    socket.write(packets);
    let received = 0;
    while (received < CONNACK_AND_PUBACK_BYTES) {
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      received += bytes.length;
    }
    const pubackMs = performance.now() - startMs;
    socket.destroy();
    const cpuMs = bridge.pids.reduce((sum, pid) => sum + cpuMicros(pid), 0) / 1000;
    return { readyMs, pubackMs, cpuMs };
  } finally {
    await bridge.stop();
  }
}

/** CONNECT and a PUBLISH of QoS 1 in one piece, as a device that has waited sends them ([MQTT-3.1.4-5]). */
function firstPackets({ setting }: Target): Buffer {
  const [type] = simulatedTypes(usableConfig(setting.loadFile).profiles, undefined);
  if (type === undefined) throw new Error('the workload has no simulated type');
  const { bytes } = encodeRing({ type, number: 1, qos: 1, length: 1, nowMs: Date.now() });
  return Buffer.concat([encodeConnect('bench-start', 60), bytes]);
}

function print(title: string, first: Start, starts: readonly Start[]): void {
  const row = ({ readyMs, pubackMs, cpuMs }: Start): string =>
    `ready ${readyMs.toFixed(0)} ms, PUBACK ${pubackMs.toFixed(0)} ms, processor ${cpuMs.toFixed(0)} ms`;
  const median = (read: (start: Start) => number): number =>
    starts.map(read).sort((a, b) => a - b)[starts.length >> 1] ?? NaN;
  const typical = {
    readyMs: median((start) => start.readyMs),
    pubackMs: median((start) => start.pubackMs),
    cpuMs: median((start) => start.cpuMs),
  };
  process.stdout.write(
    `${title}\n  first start of a clone  ${row(first)}\n  median of ${starts.length} more       ${row(typical)}\n`,
  );
}
