import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { Command, InvalidArgumentError } from 'commander';
import type { Blueprint } from '../../assembly/blueprint.ts';
import { Explainer, topicsOf, type Explanation } from './explain.ts';
import { readCapture } from '../capture/capture-file.ts';
import { errorMessage, SluiceError } from '../../core/errors.ts';
import { explanationJson } from './explain-json.ts';
import { explanationText } from './explain-text.ts';
import { wholeNumber } from '../../cli/terminal/option-values.ts';
import { partitionCounts, type PartitionCounts } from './partition-counts.ts';

interface ExplainArguments {
  readonly topic?: string;
  readonly payload?: string;
  readonly qos: 0 | 1 | 2;
  readonly retain?: boolean;
  readonly clientId: string;
  readonly receivedAt?: number;
  readonly capture?: string;
  readonly index: number;
  readonly offline?: boolean;
  readonly json?: boolean;
  readonly config?: string;
}

const EXAMPLES = `
Examples:
  sluice explain --topic trackers/7/position                           which profiles match, and why
  sluice explain --topic trackers/7/position --payload sample.json     what becomes of a message
  sluice explain --capture today.jsonl.gz --index 17                   the 17th message of a capture

Of a capture, the messages before it are performed first, so that what the gateway remembers of devices is as it was.
`;

/** `sluice explain`: what becomes of a message, and by which rules. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('show what becomes of a message: routes, decoded values, every rule, the record')
    .option('-t, --topic <topic>', 'the MQTT topic')
    .option('-p, --payload <file>', 'the payload; - reads it from stdin')
    .option('--qos <number>', 'its QoS', qos, 1)
    .option('--retain', 'with the RETAIN flag')
    .option('--client-id <id>', 'who sends it', 'explain')
    .option('--received-at <time>', 'when it is received, e.g. 2026-01-01T12:00:00Z (default: now)', instant)
    .option('--capture <file>', 'take the message from a capture')
    .option('--index <number>', 'which message of the capture', wholeNumber(1), 1)
    .option('--offline', "don't ask Kafka how many partitions there are")
    .option('--json', 'one JSON object')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .addHelpText('after', EXAMPLES)
    .action(explain);
}

async function explain(options: ExplainArguments): Promise<void> {
  const explainer = new Explainer(options.config, process.env);
  const explanation = await explained(explainer, options);
  const partitions = await partitionsOf(explanation, explainer.blueprint, options.offline === true);
  const show = options.json === true ? explanationJson : explanationText;
  process.stdout.write(show(explanation, partitions));
}

async function explained(explainer: Explainer, options: ExplainArguments): Promise<Explanation> {
  const { capture, index, topic, payload } = options;
  if ((capture === undefined) === (topic === undefined)) {
    throw new SluiceError('EXPLAIN_WHAT', 'expected either --topic or --capture: see sluice explain --help');
  }
  if (capture !== undefined) return fromCapture(explainer, capture, index);
  const name = topic as string;
  if (name === '' || /[+#\0]/.test(name)) {
    throw new SluiceError(
      'EXPLAIN_TOPIC',
      `--topic: found ${JSON.stringify(name)}, expected a topic name without wildcards`,
    );
  }
  if (payload === undefined) return explainer.topic(name);
  return explainer.message({
    topic: name,
    payload: await bytesOf(payload),
    qos: options.qos,
    retain: options.retain === true,
    dup: false,
    clientId: options.clientId,
    receivedAtMs: options.receivedAt ?? Date.now(),
  });
}

async function fromCapture(explainer: Explainer, file: string, index: number): Promise<Explanation> {
  let found = 0;
  for await (const entry of readCapture(file)) {
    if (entry.kind !== 'message') continue;
    if (++found === index) return explainer.message(entry.message);
    explainer.skip(entry.message);
  }
  const message = `${file} has ${found} messages, so there is no message ${index}`;
  throw new SluiceError('CAPTURE_INDEX', message);
}

async function bytesOf(file: string): Promise<Buffer> {
  try {
    return file === '-' ? await buffer(process.stdin) : readFileSync(file);
  } catch (error) {
    throw new SluiceError('PAYLOAD_UNREADABLE', `the payload can't be read: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** Of the topics that records go to: as Kafka has them, or as they would be created. */
async function partitionsOf(
  explanation: Explanation,
  { config, producer, security }: Blueprint,
  offline: boolean,
): Promise<PartitionCounts> {
  const topics = topicsOf(explanation);
  const configured = config.kafka.topics.partitions;
  const found =
    offline || topics.length === 0
      ? undefined
      : await partitionCounts({ bootstrapServers: producer.bootstrapServers, security, topics });
  return { found, configured, ignoreKeys: producer.partitionerIgnoreKeys };
}

function qos(text: string): 0 | 1 | 2 {
  if (text === '0' || text === '1' || text === '2') return Number(text) as 0 | 1 | 2;
  throw new InvalidArgumentError('expected 0, 1 or 2');
}

function instant(text: string): number {
  const ms = /^\d{10,}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isSafeInteger(ms)) return ms;
  throw new InvalidArgumentError('expected a time such as 2026-01-01T12:00:00Z, or milliseconds since 1970');
}
