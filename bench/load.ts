/**
 * The load generator of the benchmarks, usable on its own: `node bench/load.ts --help`.
 * As a child of bench/bridge.ts it takes its steps one by one, so that counters can be read in between.
 */
import { once } from 'node:events';
import { Command, Option } from 'commander';
import { duration, list, rate, wholeNumber } from '../src/cli/terminal/option-values.ts';
import { simulatedTypes } from '../src/testbed/fleet/simulated-types.ts';
import { usableConfig } from '../src/cli/terminal/usable-config.ts';
import type { QoS } from '../src/core/publication.ts';
import { Load } from './load/load.ts';
import type { PhaseResult } from './load/load.ts';

/** What the parent process hears, in this order. */
export type LoadReport =
  /** `sent`: messages of the warm-up. */
  | { readonly step: 'ready'; readonly sent: number }
  | { readonly step: 'measured'; readonly result: PhaseResult }
  | { readonly step: 'failed'; readonly reason: string };

interface LoadArguments {
  readonly url: string;
  readonly devices: number;
  readonly qos: string;
  readonly window: number;
  readonly rate: number;
  readonly messages?: number;
  readonly duration: number;
  readonly warmup: number;
  readonly warmupRate?: number;
  readonly frames?: number;
  readonly profile?: readonly string[];
  readonly config?: string;
}

const EXAMPLES = `
Examples:
  node bench/load.ts                                                 saturation: 100 devices, 100 in flight each
  node bench/load.ts --devices 1000 --rate 20000 --duration 30s      a real fleet
  node bench/load.ts --qos 0 --warmup 5s --duration 10s

The payloads are encoded before the first one is sent. Prints one JSON object: times in milliseconds,
latency from PUBLISH to PUBACK.
`;

await new Command('load')
  .description('load an MQTT broker or bridge through raw sockets')
  .option('-u, --url <url>', 'where it listens; mqtts: by TLS', 'mqtt://127.0.0.1:1883')
  .option('-d, --devices <number>', 'connections', wholeNumber(1), 100)
  .addOption(new Option('-q, --qos <level>', 'MQTT quality of service').choices(['0', '1']).default('1'))
  .option('--window <number>', 'QoS 1: most in flight a device; QoS 0: messages a write', wholeNumber(1), 100)
  .option('-r, --rate <number|max>', 'messages a second in all, one message a write', rate, 0)
  .option('-t, --duration <time>', 'how long it sends, e.g. 30s', duration, 6_000)
  .option('-n, --messages <number>', 'instead of --duration: messages to send in all', wholeNumber(1))
  .option('--warmup <time>', 'how long it sends before the measurement', duration, 0)
  .option('--warmup-rate <number|max>', 'messages a second of these (default: --rate)', rate)
  .option('--frames <number>', 'different messages in all (default: 200,000)', wholeNumber(1))
  .option('-p, --profile <type>', 'device type to send (may be repeated)', list)
  .option('-c, --config <file>', 'configuration whose device profiles are played (default: sluice.yaml)')
  .addHelpText('after', EXAMPLES)
  .action(main)
  .parseAsync();

async function main(options: LoadArguments): Promise<void> {
  const { protocol, hostname, port } = new URL(options.url);
  const tls = protocol === 'mqtts:';
  const load = new Load({
    host: hostname,
    port: Number(port || (tls ? 8883 : 1883)),
    tls,
    devices: options.devices,
    qos: Number(options.qos) as QoS,
    window: options.window,
    rate: options.rate,
    types: simulatedTypes(usableConfig(options.config).profiles, options.profile),
    ...(options.frames === undefined ? {} : { framesInAll: options.frames }),
  });
  try {
    await load.connect();
    const warmed =
      options.warmup > 0
        ? await load.run({ seconds: options.warmup / 1000 }, { rate: options.warmupRate })
        : undefined;
    await step({ step: 'ready', sent: warmed?.sent ?? 0 });
    const { messages } = options;
    const result = await load.run(
      messages === undefined ? { seconds: options.duration / 1000 } : { messages },
    );
    await step({ step: 'measured', result });
    await load.end();
    if (process.send === undefined) process.stdout.write(`${JSON.stringify(summary(result), null, 2)}\n`);
  } catch (error) {
    if (process.send === undefined) throw error;
    process.send({ step: 'failed', reason: String(error) } satisfies LoadReport);
  }
  if (process.connected) process.disconnect();
}

/** As a child: reports, and goes on when the parent says so. */
async function step(report: LoadReport): Promise<void> {
  if (process.send === undefined) return;
  process.send(report);
  await once(process, 'message');
}

function summary(result: PhaseResult): object {
  return { ...result, perSecond: Math.round((result.sent * 1000) / result.elapsedMs) };
}
