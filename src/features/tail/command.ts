import { once } from 'node:events';
import { Command } from 'commander';
import { kafkaSecurity } from '../../assembly/blueprint.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { systemClock } from '../../core/clock.ts';
import { deadLetterTopicFor, isTopicTemplate } from '../../core/profile/output-spec.ts';
import { deadLetterTopicOf } from '../../core/route.ts';
import { list, wholeNumber } from '../../cli/terminal/option-values.ts';
import { processLogger } from '../../cli/terminal/process-logger.ts';
import { TailLines } from './tail-lines.ts';
import { contentOf, isFromDevice, recordJson, type RecordContent, type TailedRecord } from './tail-record.ts';
import { TailSession } from './tail-session.ts';
import { refuseFaults, usableConfig } from '../../cli/terminal/usable-config.ts';

interface TailArguments {
  readonly topic?: readonly string[];
  readonly device?: string;
  readonly fromBeginning?: boolean;
  readonly deadLetters?: boolean;
  readonly count?: number;
  readonly json?: boolean;
  readonly bootstrapServers?: readonly string[];
  readonly config?: string;
}

const EXAMPLES = `
Examples:
  sluice tail                                       everything that arrives from now on
  sluice tail --device env-sensor-0001              one device
  sluice tail --dead-letters                        and what could not be decoded, with the reason
  sluice tail --from-beginning --count 10 --json    for jq and friends

In JSON, integers beyond 2^53 are strings, and bytes are base64.
`;

/** `sluice tail`: what arrives in Kafka, decoded. */
export function tailCommand(): Command {
  return new Command('tail')
    .description('show decoded records as they arrive in Kafka')
    .option('-t, --topic <name>', "Kafka topic, may be repeated (default: all of the profiles')", list)
    .option('-d, --device <id>', 'only what comes from this device')
    .option('-b, --from-beginning', 'begin with the oldest record instead of the next one')
    .option('--dead-letters', 'read the dead letter topics too')
    .option('-n, --count <number>', 'end after so many records', wholeNumber(1))
    .option('--json', 'one JSON object a line')
    .option('--bootstrap-servers <list>', 'brokers as host:port,… (default: as in the configuration)', list)
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .addHelpText('after', EXAMPLES)
    .action(runTail);
}

async function runTail(options: TailArguments): Promise<void> {
  const loaded = usableConfig(options.config);
  const { kafka } = loaded.config;
  const { security, faults } = kafkaSecurity(loaded, process.env);
  refuseFaults(faults);
  const topics = topicsOf(options, loaded);
  const format = formatter(options, topics.length > 1);
  let left = options.count ?? Infinity;
  const session = new TailSession({
    bootstrapServers: options.bootstrapServers ?? kafka.bootstrapServers ?? [`127.0.0.1:${kafka.local.port}`],
    security,
    topics,
    fromBeginning: options.fromBeginning ?? false,
    clock: systemClock,
    logger: processLogger('warn', 'auto'),
    onNote: (text) => process.stderr.write(`${text}\n`),
    onRecord: async (record) => {
      const content = contentOf(record);
      if (options.device !== undefined && !isFromDevice(record, content, options.device)) return;
      const room = process.stdout.write(format(record, content));
      if (--left === 0) session.stop();
      else if (!room) await once(process.stdout, 'drain');
    },
  });
  const stop = (): void => session.stop();
  process.on('SIGINT', stop).on('SIGTERM', stop);
  // `sluice tail | head` closes the pipe when it has enough.
  process.stdout.on('error', stop);
  await session.run();
  // kafkajs has timers of its own that would keep a process alive that has nothing left to do.
  process.exit();
}

function topicsOf(options: TailArguments, { config, profiles }: LoadedConfig): string[] {
  // What a template names can't be known here: `--topic` can.
  const fixed = profiles.map(({ produce }) => produce.topic).filter((topic) => !isTopicTemplate(topic));
  const topics = new Set(options.topic ?? fixed);
  if (options.deadLetters !== true) return [...topics];
  if (options.topic !== undefined) {
    return [...new Set([...options.topic, ...options.topic.map(deadLetterTopicOf)])];
  }
  const { policy, deadLetterTopic } = config.unrouted;
  for (const { produce, type } of profiles) topics.add(deadLetterTopicFor(produce, type));
  if (policy === 'dead-letter') topics.add(deadLetterTopic);
  return [...topics];
}

function formatter(
  options: TailArguments,
  showTopic: boolean,
): (record: TailedRecord, content: RecordContent) => string {
  if (options.json === true) return (record, content) => `${recordJson(record, content)}\n`;
  const colours = process.stdout.isTTY && process.stdout.hasColors();
  const lines = new TailLines({ colours, showTopic, nowMs: () => systemClock.wallMs() });
  return (record, content) => lines.line(record, content);
}
