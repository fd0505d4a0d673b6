import { Command } from 'commander';
import { CaptureWriter } from './capture-file.ts';
import { adminUrl } from '../../cli/terminal/usable-config.ts';
import { CaptureSession, type CaptureEnd } from './capture-session.ts';
import { LiveLine } from '../../cli/terminal/terminal-text.ts';
import { duration, wholeNumber } from '../../cli/terminal/option-values.ts';

interface CaptureArguments {
  readonly out: string;
  readonly topic: string;
  readonly count?: number;
  readonly seconds?: number;
  readonly maxBytes: number;
  readonly append?: boolean;
  readonly url?: string;
  readonly config?: string;
}

const EXAMPLES = `
Examples:
  sluice capture --out today.jsonl.gz --seconds 60
  sluice capture --out trackers.jsonl --topic 'trackers/#' --count 1000

A file whose name ends in .gz is compressed. Ctrl-C ends a capture too; what was recorded stays.
`;

/** `sluice capture`: records the MQTT messages of a running gateway. */
export function captureCommand(): Command {
  return new Command('capture')
    .description('record MQTT messages of the running gateway, for explain and plan')
    .requiredOption('-o, --out <file>', 'the file to write; it must not exist')
    .option('-t, --topic <filter>', 'an MQTT topic filter', '#')
    .option('-n, --count <number>', 'end after so many messages', wholeNumber(1))
    .option('-s, --seconds <duration>', 'end after this time: 60, 500ms, 2m', duration)
    .option(
      '--max-bytes <number>',
      'end when there are so many bytes of lines',
      wholeNumber(1),
      1_073_741_824,
    )
    .option('--append', 'go on behind the captures that are in the file')
    .option('--url <url>', "the gateway's admin port (default: as in the configuration)")
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .addHelpText('after', EXAMPLES)
    .action(capture);
}

async function capture(options: CaptureArguments): Promise<void> {
  const { out, topic, count, seconds: limitMs, maxBytes } = options;
  const url = options.url ?? adminUrl(options.config);
  const live = new LiveLine(process.stderr);
  const session = new CaptureSession({
    url,
    topic,
    count,
    limitMs,
    maxBytes,
    // Only once the gateway has answered: no file is left behind where there is none.
    open: () => CaptureWriter.open(out, options.append === true),
    onProgress: (messages) => {
      live.show(`  ${messages.toLocaleString('en')} messages, Ctrl-C to end`);
    },
  });
  const stop = (): void => {
    session.stop();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const report = await session.run().finally(() => {
    live.clear();
  });
  const missed = report.missed > 0 ? `; ${report.missed.toLocaleString('en')} were missed, see there` : '';
  process.stdout.write(
    `${report.messages.toLocaleString('en')} messages of ${topic} in ${out}${missed}: ${ENDS[report.end]}\n`,
  );
}

const ENDS: Readonly<Record<CaptureEnd, string>> = {
  count: 'that is all that was asked for',
  time: 'the time is over',
  bytes: 'the file has reached --max-bytes',
  stopped: 'stopped',
  gateway: 'the gateway has stopped',
};
