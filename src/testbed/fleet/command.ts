import { Command, Option } from 'commander';
import type { SluiceConfig } from '../../config/config.ts';
import { systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import type { QoS } from '../../core/publication.ts';
import { Fleet } from './fleet.ts';
import type { FleetSummary } from './fleet-report.ts';
import { listenerUrl, plainListener } from '../../mqtt/edge/listener-spec.ts';
import { progressText, summaryJson, summaryText } from './fleet-report.ts';
import { LiveLine } from '../../cli/terminal/terminal-text.ts';
import { duration, list, rate, wholeNumber } from '../../cli/terminal/option-values.ts';
import { processLogger } from '../../cli/terminal/process-logger.ts';
import { simulatedTypes } from './simulated-types.ts';
import { usableConfig } from '../../cli/terminal/usable-config.ts';

interface FleetArguments {
  readonly devices: number;
  readonly rate: number;
  readonly qos: string;
  readonly count?: number;
  readonly duration?: number;
  readonly profile?: readonly string[];
  readonly seed: number;
  readonly window: number;
  readonly wait: number;
  readonly prefix?: string;
  readonly url?: string;
  readonly config?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  sluice fleet --devices 100 --rate 1000                  until Ctrl-C
  sluice fleet --count 10000 --rate max                   as fast as PUBACKs come back
  sluice fleet --profile env-sensor --duration 30s --json
  sluice fleet --url mqtt://user:secret@gateway:1883

Exits with 1 if a device was refused, or if a QoS 1 or 2 message was not acknowledged by the end.
`;

/** `sluice fleet`: simulated devices in front of a gateway. */
export function fleetCommand(): Command {
  return new Command('fleet')
    .description('simulate a fleet of devices that publish the types in devices/')
    .option('-d, --devices <number>', 'how many devices, spread over the device types', wholeNumber(1), 100)
    .option('-r, --rate <number|max>', 'messages a second, all devices together', rate, 100)
    .addOption(
      new Option('-q, --qos <level>', 'MQTT quality of service').choices(['0', '1', '2']).default('1'),
    )
    .option('-n, --count <number>', 'end after so many messages, all devices together', wholeNumber(1))
    .option('-t, --duration <time>', 'end after so long, e.g. 30s, 5m', duration)
    .option('-p, --profile <type>', 'only this device type (may be repeated)', list)
    .option(
      '--seed <number>',
      'the same seed plays the same devices with the same readings',
      wholeNumber(0),
      1,
    )
    .option('--window <number>', 'most messages in flight a device', wholeNumber(1), 20)
    .addOption(
      new Option('--wait <time>', 'wait so long at the end for missing acknowledgements')
        .argParser(duration)
        .default(60_000, '60s'),
    )
    .option('--prefix <text>', "begins every device's name: two fleets at once need two prefixes")
    .option('-u, --url <url>', 'the MQTT listener (default: the first one of the configuration)')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .option('--json', 'the summary as one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(runFleet);
}

async function runFleet(options: FleetArguments): Promise<void> {
  const { config, profiles } = usableConfig(options.config);
  const qos = Number(options.qos) as QoS;
  const fleet = new Fleet({
    url: options.url ?? plainUrl(config),
    devices: options.devices,
    rate: options.rate,
    qos,
    count: options.count,
    durationMs: options.duration,
    seed: options.seed,
    window: options.window,
    drainTimeoutMs: options.wait,
    prefix: options.prefix ?? '',
    types: simulatedTypes(profiles, options.profile),
    clock: systemClock,
    logger: processLogger('warn', 'auto'),
  });
  const summary = await play(fleet);
  process.stdout.write(options.json === true ? `${summaryJson(summary, qos)}\n` : summaryText(summary, qos));
  if (summary.unacknowledged > 0 || summary.refused > 0) process.exitCode = 1;
}

/** Runs the fleet to its end, or to Ctrl-C; a second Ctrl-C does not wait for acknowledgements. */
async function play(fleet: Fleet): Promise<FleetSummary> {
  let interrupted = false;
  const interrupt = (): void => {
    void fleet.stop(interrupted ? 0 : undefined);
    interrupted = true;
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const endProgress = showProgress(fleet);
  try {
    fleet.start();
    return await fleet.done();
  } finally {
    endProgress();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

const LIVE_EVERY_MS = 250;
const LOG_EVERY_MS = 10_000;

/** A live line on a terminal, a plain line now and then elsewhere; on standard error, beside the summary. */
function showProgress(fleet: Fleet): () => void {
  const line = new LiveLine(process.stderr);
  const everyMs = line.isLive ? LIVE_EVERY_MS : LOG_EVERY_MS;
  let before = fleet.snapshot();
  const timer = setInterval(() => {
    const now = fleet.snapshot();
    const passedMs = now.publishingMs - before.publishingMs;
    const perSecond = passedMs > 0 ? ((now.sent - before.sent) * 1000) / passedMs : 0;
    const text = progressText(now, fleet.recentLatency(), perSecond);
    if (line.isLive) line.show(text);
    else process.stderr.write(`${text}\n`);
    before = now;
  }, everyMs);
  return () => {
    clearInterval(timer);
    line.clear();
  };
}

function plainUrl({ mqtt }: SluiceConfig): string {
  const listener = plainListener(mqtt.listeners);
  if (listener !== undefined) return listenerUrl(listener);
  throw new SluiceError(
    'FLEET_NO_LISTENER',
    'The simulated devices have no certificates, and mqtt.listeners has neither a tcp nor a ws listener ' +
      'for them: add one, or say where they connect with --url.',
  );
}
