import { InvalidArgumentError, type Command } from 'commander';
import { drawBlueprint } from '../../assembly/blueprint.ts';
import { DeadLetterOffice } from './dead-letter-office.ts';
import { systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { letterLogs, logKey, type LetterLogBounds, type Selection } from './letters.ts';
import { parseRanges, type Range } from './ranges.ts';
import { RouteTable } from '../../route/route-table.ts';
import { list, moment, wholeNumber } from '../../cli/terminal/option-values.ts';
import { processLogger } from '../../cli/terminal/process-logger.ts';
import { refuseFaults } from '../../cli/terminal/usable-config.ts';

/** What all of the commands about dead letters have in common. */
export interface LetterArguments {
  readonly topic?: readonly string[];
  readonly type?: readonly string[];
  readonly unrouted?: boolean;
  readonly code?: readonly string[];
  readonly client?: readonly string[];
  readonly mqttTopic?: readonly string[];
  readonly since?: number;
  readonly until?: number;
  readonly limit?: number;
  readonly json?: boolean;
  readonly config?: string;
}

/** Adds the options that say which dead letters are meant. */
export function withSelection(command: Command): Command {
  return command
    .argument('[places...]', 'where they lie: topic/partition/offset, offsets as 5-9,12', places)
    .option('-t, --topic <name>', 'dead-letter topic, may be repeated (default: all configured)', list)
    .option('--type <name>', 'device type', list)
    .option('--unrouted', 'those that no profile matched')
    .option('--code <code>', 'reason, e.g. DECODE_FAILED', list)
    .option('--client <id>', 'MQTT client id', list)
    .option('--mqtt-topic <pattern>', 'MQTT topic pattern, e.g. fleet/+/dev-1/#', list)
    .option('--since <time>', 'received at this time or later: a date, or how long ago (2h, 3d)', moment)
    .option('--until <time>', 'received before', moment)
    .option('-n, --limit <number>', 'so many at most', wholeNumber(1))
    .option('--json', 'for programs')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)');
}

/** By topic and partition. */
type Places = Map<string, Range[]>;

/** What commander makes of no places is an empty list. */
type GivenPlaces = Places | readonly never[];

const PLACE = /^([a-zA-Z0-9._-]+)\/(\d+)\/([\d,-]+)$/;

/** Collects places by topic and partition. */
function places(text: string, collected: Places = new Map()): Places {
  const [, topic = '', partition = '', offsets = ''] = PLACE.exec(text) ?? [];
  try {
    if (topic === '') throw new RangeError('no place');
    const key = logKey({ topic, partition: Number(partition) });
    collected.set(key, [...(collected.get(key) ?? []), ...parseRanges(offsets)]);
  } catch {
    const examples = 'telemetry.dlq/0/17 or telemetry.dlq/0/5-9';
    throw new InvalidArgumentError(`expected topic/partition/offset, e.g. ${examples}`);
  }
  return collected;
}

/** Dead letters that are meant, and the office that knows about them. */
export interface Errand {
  readonly office: DeadLetterOffice;
  /** The partitions of the topics that are meant. */
  readonly logs: () => Promise<LetterLogBounds[]>;
  readonly selection: Selection;
  /** Whether anything narrows the choice down. */
  readonly isNarrowed: boolean;
}

/**
 * The action of a command about dead letters.
 * @throws SluiceError CONFIG_INVALID
 */
export function runErrand<T extends LetterArguments>(
  work: (errand: Errand, options: T) => Promise<void>,
): (where: GivenPlaces, options: T) => Promise<void> {
  return async (where, options) => {
    const errand = errandOf(where, options);
    try {
      await work(errand, options);
    } finally {
      await errand.office.close();
    }
  };
}

function errandOf(where: GivenPlaces, options: LetterArguments): Errand {
  const { faults, blueprint } = drawBlueprint(options.config, process.env);
  refuseFaults(faults);
  const { type, unrouted, code, client, mqttTopic, since, until } = options;
  const types = [...(type ?? []), ...(unrouted === true ? [''] : [])];
  const offsets = 'size' in where ? where : undefined;
  const selection: Selection = {
    ...(types.length > 0 && { types }),
    ...(code !== undefined && { codes: code }),
    ...(client !== undefined && { clientIds: client }),
    ...(mqttTopic !== undefined && { matchesTopic: topicMatcher(mqttTopic) }),
    ...(since !== undefined && { sinceMs: since }),
    ...(until !== undefined && { untilMs: until }),
    ...(offsets !== undefined && { offsets }),
  };
  const logger = processLogger('warn', 'auto');
  const office = new DeadLetterOffice(blueprint, { clock: systemClock, logger });
  const named = [...(offsets?.keys() ?? [])].map((key) => key.slice(0, key.indexOf('/')));
  const topics = options.topic ?? (named.length > 0 ? [...new Set(named)] : office.topics);
  const isNarrowed = Object.keys(selection).length > 0 || options.topic !== undefined;
  return { office, logs: () => letterLogs(office.reader, topics), selection, isNarrowed };
}

function topicMatcher(patterns: readonly string[]): (topic: string) => boolean {
  const table = new RouteTable<true>();
  for (const pattern of patterns) {
    const fault = table.add(pattern, true);
    if (fault === undefined) continue;
    const { found, expected } = fault;
    throw new SluiceError('NO_TOPIC_PATTERN', `${found} is no topic pattern: expected ${expected}`);
  }
  return (topic) => table.match(topic).length > 0;
}
