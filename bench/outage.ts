/**
 * `npm run bench:outage`: Kafka is away, and the journal takes what devices send; Kafka is back, and the backlog
 * drains while devices go on sending. What each phase costs, how long devices wait for their PUBACK before, during
 * and after, and whether memory grows with the backlog.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { simulatedTypes } from '../src/testbed/fleet/simulated-types.ts';
import { usableConfig } from '../src/cli/terminal/usable-config.ts';
import { wholeNumber } from '../src/cli/terminal/option-values.ts';
import { BenchKafka } from './harness/bench-kafka.ts';
import { CONTESTANTS } from './harness/contestants.ts';
import { BenchTopic } from './harness/kafka-topic.ts';
import { describeMachine, machine } from './harness/machine.ts';
import type { Machine } from './harness/machine.ts';
import { fillPage } from './harness/record-docs.ts';
import { writeSetting } from './harness/setting.ts';
import { chosenWorkloads, type Payload } from './harness/workloads.ts';
import { LIVE_CONTRACTS } from './outage/live-traffic.ts';
import { Outage, type OutageChoices } from './outage/outage.ts';
import { outageText, type OutageReport } from './outage/outage-report.ts';

interface OutageArguments extends OutageChoices {
  readonly journal: number;
  readonly value: 'raw' | 'normalised';
  readonly out: string;
  readonly docs?: true;
  readonly measure: boolean;
}

/** What the file of `--out` holds. */
interface OutageRecord extends OutageReport {
  readonly machine: Machine;
}

const TOPIC = 'bench-outage';
const PAYLOAD: Payload = 'field-sensor';
const GIB = 2 ** 30;

await new Command('outage')
  .description('an outage of Kafka: what the journal takes, and what draining it does to live traffic')
  .option('-n, --backlog <messages>', 'what the journal takes while Kafka is away', wholeNumber(1), 3_600_000)
  .option('-r, --rate <number>', 'live messages a second, of each contract', wholeNumber(1), 1_000)
  .option('-d, --devices <number>', 'live devices, of each contract', wholeNumber(1), 500)
  .option('--window <number>', 'most messages in flight of each device that fills it', wholeNumber(1), 100)
  .option('--seconds <number>', 'length of the measurements before and after', wholeNumber(1), 30)
  .option('--journal <GiB>', 'journal.max.bytes', wholeNumber(1), 16)
  .option('--value <kind>', 'raw or normalised', 'normalised')
  .option('-o, --out <file>', 'the figures and all samples, as JSON', '.cache/bench/outage.json')
  .option('--docs', 'put the report into docs/performance.md')
  .option('--no-measure', 'with --docs: only write it, from the file that is there')
  .action(main)
  .parseAsync();

async function main(options: OutageArguments): Promise<void> {
  const record = options.measure
    ? await measure(options)
    : (JSON.parse(readFileSync(options.out, 'utf8')) as OutageRecord);
  const text = outageText(record);
  const measuredOn = describeMachine(record.machine);
  process.stdout.write(`${text}\n${measuredOn}\n`);
  if (options.docs === true) {
    const section = `\`\`\`\n${text}\n\`\`\`\n\n${measuredOn}.`;
    say(await fillPage(new Map([['journal-outage', section]])));
  }
}

async function measure(options: OutageArguments): Promise<OutageRecord> {
  const at = machine();
  say('starting Kafka');
  const kafka = await BenchKafka.start();
  try {
    const record = { machine: at, options, ...(await rehearse(kafka, options)) };
    mkdirSync(dirname(resolve(options.out)), { recursive: true });
    writeFileSync(options.out, JSON.stringify(record, undefined, 2));
    return record;
  } finally {
    await kafka.stop();
  }
}

async function rehearse(kafka: BenchKafka, options: OutageArguments): Promise<OutageReport> {
  const { bootstrapServers } = kafka.kafka;
  const [workload] = chosenWorkloads(['saturation'], { payload: PAYLOAD, routes: LIVE_CONTRACTS.length });
  const contestant = CONTESTANTS.find(
    ({ name, contract, value }) => name === 'sluice' && contract === 'journal' && value === options.value,
  );
  if (workload === undefined || contestant === undefined) throw new Error('there is no such gateway');
  const topic = await BenchTopic.create(bootstrapServers, TOPIC, workload.partitions);
  const setting = writeSetting({
    workload,
    bootstrapServers,
    topic: TOPIC,
    value: options.value,
    contract: LIVE_CONTRACTS,
    journalBytes: options.journal * GIB,
  });
  try {
    const bridge = await contestant.start({ workload, bootstrapServers, topic: TOPIC, setting });
    try {
      const all = simulatedTypes(usableConfig(setting.loadFile).profiles);
      const types = LIVE_CONTRACTS.flatMap((ack) => all.filter(({ profile }) => profile.ack.name === ack));
      const outage = new Outage({ ...options, kafka, topic, bridge, types, say });
      return await outage.run();
    } finally {
      await bridge.stop();
    }
  } finally {
    setting.remove();
    await topic.remove();
  }
}

/** Progress, beside the results. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
