import { isatty } from 'node:tty';
import { Command } from 'commander';
import { drawBlueprint, type Blueprint } from '../assembly/blueprint.ts';
import { smallPool } from '../assembly/thread-pool.ts';
import { describeFault, describeWarning } from '../config/faults.ts';
import { systemClock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { Gateway } from '../gateway.ts';
import { banner } from './banner.ts';
import { LiveLine } from './terminal/terminal-text.ts';
import { processLogger } from './terminal/process-logger.ts';
import { packageFacts } from './terminal/package-facts.ts';

const EXAMPLES = `
Examples:
  sluice run
  sluice run --config /etc/sluice/sluice.yaml
  SLUICE_KAFKA__BOOTSTRAP_SERVERS=broker-1:9092 sluice run
`;

interface RunArguments {
  readonly config?: string;
  readonly demo?: boolean;
}

/** `sluice run`: the gateway, until SIGINT or SIGTERM. SIGHUP has it read the device profiles again. */
export function runCommand(): Command {
  return new Command('run')
    .description('run the gateway')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .option('--demo', 'add twenty simulated devices and a live status line')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

async function run(options: RunArguments): Promise<void> {
  const stop = stopSignal();
  const reloadSignal = new ReloadSignal();
  const { faults, warnings, blueprint } = drawBlueprint(options.config, process.env);
  if (faults.length > 0) {
    process.stderr.write(faults.map((fault) => `${describeFault(fault)}\n`).join(''));
    process.exitCode = 1;
    return;
  }

  const logger = processLogger(blueprint.config.log.level, blueprint.config.log.format);
  for (const warning of warnings) logger.warn({ code: warning.code }, describeWarning(warning));
  const problem = await smallPool();
  if (problem !== undefined) logger.warn({ code: 'SMALL_THREAD_POOL' }, problem);
  const gateway = new Gateway(blueprint, {
    logger,
    clock: systemClock,
    version: packageFacts().version,
    onProgress: (line) => process.stdout.write(`  ${line}\n`),
    redraw: (running) => drawBlueprint(options.config, process.env, { running }),
  });
  collectStart();
  try {
    await gateway.start();
  } catch (error) {
    await gateway.stop();
    throw error;
  }
  reloadSignal.connect(() => gateway.reload('signal'));
  process.stdout.write(bannerOf(gateway, blueprint));

  const endDemo = options.demo === true ? await startDemo(gateway, blueprint, logger) : undefined;
  await stop;
  await endDemo?.();
  await stopGateway(gateway, logger);
}

/**
 * Loading the gateway and compiling its profiles leaves V8 with twice the memory that it needs from here on. V8
 * would free it hours later, or never. This takes 0.1 s, once, before there is a device that would notice.
 */
function collectStart(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** One Ctrl-C may arrive twice: from the terminal, and passed on by npm or a shell in between. */
const SAME_SIGNAL_MS = 1_000;

/** The first SIGINT or SIGTERM. Another one, later, does not wait for Kafka. */
function stopSignal(): Promise<void> {
  return new Promise((stop) => {
    let firstMs: number | undefined;
    const onSignal = (): void => {
      const nowMs = systemClock.monotonicMs();
      if (firstMs !== undefined && nowMs - firstMs > SAME_SIGNAL_MS) process.exit(1);
      firstMs ??= nowMs;
      stop();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
}

/**
 * SIGHUP asks for a reload, as it does with other daemons. A closing terminal sends it too, to the programs that
 * run in it. Then it means the end, as SIGTERM does.
 */
class ReloadSignal {
  readonly #terminal = [0, 1, 2].find((descriptor) => isatty(descriptor));
  #reload: (() => void) | undefined;
  #early = false;

  constructor() {
    process.on('SIGHUP', () => {
      if (this.#terminal !== undefined && !isatty(this.#terminal)) process.kill(process.pid, 'SIGTERM');
      else if (this.#reload === undefined) this.#early = true;
      else this.#reload();
    });
  }

  /** Calls back at each signal from now on, and at once if one came already. */
  connect(reload: () => void): void {
    this.#reload = reload;
    if (this.#early) reload();
  }
}

async function stopGateway(gateway: Gateway, logger: Logger): Promise<void> {
  process.stdout.write('  stopping: what devices have sent goes to Kafka first (Ctrl-C again: at once)\n');
  const { undelivered } = await gateway.stop();
  if (undelivered > 0) {
    logger.warn(
      { undelivered },
      'stopped before Kafka acknowledged everything; the devices were not told that it did, and will send again',
    );
  }
  process.stdout.write('  stopped\n');
}

function bannerOf(gateway: Gateway, { profiles }: Blueprint): string {
  return banner({
    version: packageFacts().version,
    mqttUrls: gateway.mqttUrls(),
    adminUrl: gateway.adminUrl(),
    kafka: gateway.kafkaDescription(),
    profiles: profiles.map(({ type, topic, produce, ack: contract }) => {
      return { type, topic, kafkaTopic: produce.topic, contract };
    }),
    warnings: gateway.warnings(),
  });
}

const DEMO_DEVICES = 20;
const DEMO_MESSAGES_PER_SECOND = 20;
const STATUS_EVERY_MS = 500;

/** Starts twenty devices, and a line that shows what happens to their messages. Returns a function that ends both. */
async function startDemo(gateway: Gateway, { profiles }: Blueprint, logger: Logger) {
  const url = gateway.plainMqttUrl();
  if (url === undefined) {
    process.stderr.write('  no simulated devices: they need a listener of type tcp or ws\n');
    return () => Promise.resolve();
  }
  // A gateway without a demo has no use for an MQTT client.
  const { Fleet } = await import('../testbed/fleet/fleet.ts');
  const { simulatedTypes } = await import('../testbed/fleet/simulated-types.ts');
  const fleet = new Fleet({
    url,
    devices: DEMO_DEVICES,
    rate: DEMO_MESSAGES_PER_SECOND,
    qos: 1,
    seed: 1,
    prefix: 'demo-',
    types: simulatedTypes(profiles),
    clock: systemClock,
    logger,
  });
  fleet.start();
  const line = new LiveLine(process.stderr);
  const timer = setInterval(() => {
    const { received, produced, acknowledged, lost } = gateway.totals();
    line.show(`  in ${received}  to Kafka ${produced}  acknowledged ${acknowledged}  lost ${lost}`);
  }, STATUS_EVERY_MS);
  return async () => {
    clearInterval(timer);
    line.clear();
    await fleet.stop();
  };
}
