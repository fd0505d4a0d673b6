import { json } from 'node:stream/consumers';
import { Command } from 'commander';
import { get } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { duration, wholeNumber } from '../../cli/terminal/option-values.ts';
import { LiveLine, count as countText } from '../../cli/terminal/terminal-text.ts';
import { adminUrl } from '../../cli/terminal/usable-config.ts';
import { SluiceError, errorMessage } from '../../core/errors.ts';
import { CaptureWriter, linesOf } from './capture-file.ts';
import { parseLine } from './captured-message.ts';

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
    .option('--max-bytes <number>', 'end when there are so many bytes of lines', wholeNumber(1), 2 ** 30)
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
    onProgress: (messages) => live.show(`  ${countText(messages)} messages, Ctrl-C to end`),
  });
  const stop = (): void => session.stop();
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const report = await session.run().finally(() => live.clear());
  const missed = report.missed > 0 ? `; ${countText(report.missed)} were missed, see there` : '';
  process.stdout.write(
    `${countText(report.messages)} messages of ${topic} in ${out}${missed}: ${ENDS[report.end]}\n`,
  );
}

const ENDS: Readonly<Record<CaptureEnd, string>> = {
  count: 'that is all that was asked for',
  time: 'the time is over',
  bytes: 'the file has reached --max-bytes',
  stopped: 'stopped',
  gateway: 'the gateway has stopped',
};

export interface CaptureSessionOptions {
  /** Of the gateway's admin port. */
  readonly url: string;
  readonly topic: string;
  readonly count: number | undefined;
  readonly limitMs: number | undefined;
  readonly maxBytes: number;
  readonly open: () => Promise<CaptureWriter>;
  readonly onProgress: (messages: number) => void;
}

/** Why a capture ended. */
export type CaptureEnd = 'count' | 'time' | 'bytes' | 'stopped' | 'gateway';

export interface CaptureReport {
  readonly messages: number;
  /** Messages that the gateway did not hand out because this process was too slow. */
  readonly missed: number;
  readonly end: CaptureEnd;
}

/** One capture of a running gateway, from its admin port into a file. */
export class CaptureSession {
  readonly #options: CaptureSessionOptions;
  #messages = 0;
  #missed = 0;
  #end: CaptureEnd | undefined;
  #request: ClientRequest | undefined;

  constructor(options: CaptureSessionOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#finish('stopped');
  }

  /**
   * Resolves when the file is whole on the disk.
   * @throws SluiceError GATEWAY_UNREACHABLE, CAPTURE_REFUSED; CaptureError
   */
  async run(): Promise<CaptureReport> {
    const { open, limitMs } = this.#options;
    const response = await this.#ask();
    let writer: CaptureWriter;
    try {
      writer = await open();
    } catch (error) {
      response.destroy();
      throw error;
    }
    const timer = setTimeout(() => this.#finish('time'), limitMs ?? MAX_DELAY_MS);
    try {
      await this.#copy(response, writer);
    } finally {
      clearTimeout(timer);
      response.destroy();
      await writer.close();
    }
    return { messages: this.#messages, missed: this.#missed, end: this.#end ?? 'gateway' };
  }

  async #copy(response: IncomingMessage, writer: CaptureWriter): Promise<void> {
    const { count, maxBytes, onProgress } = this.#options;
    try {
      for await (const { text, whole } of linesOf(response)) {
        // What the connection's end has cut is no message.
        if (this.#end !== undefined || !whole) return;
        await writer.write(`${text}\n`);
        const line = parseLine(text);
        if (typeof line === 'string') throw new SluiceError('CAPTURE_REFUSED', `not a capture: ${line}`);
        if (line.kind === 'missed') this.#missed += line.messages;
        if (line.kind !== 'message') continue;
        this.#messages++;
        onProgress(this.#messages);
        if (this.#messages === count) this.#finish('count');
        else if (writer.bytes >= maxBytes) this.#finish('bytes');
      }
    } catch (error) {
      // Our own end destroys the response, and a gateway that is killed resets it.
      if (this.#end === undefined && !isReset(error)) throw error;
    }
  }

  #finish(end: CaptureEnd): void {
    this.#end ??= end;
    this.#request?.destroy();
  }

  #ask(): Promise<IncomingMessage> {
    const { url, topic, count } = this.#options;
    const query = new URLSearchParams({ topic, ...(count !== undefined && { count: String(count) }) });
    return new Promise((resolve, reject) => {
      const request = get(`${url}/api/capture?${query.toString()}`, { agent: false }, (response) => {
        if (response.statusCode === 200) resolve(response);
        else {
          void problemOf(response).then((problem) =>
            reject(new SluiceError('CAPTURE_REFUSED', `${url} refuses the capture: ${problem}`)),
          );
        }
      });
      this.#request = request;
      request.on('error', (error) => {
        const wayOn = 'start one with `sluice run`, or name its admin port with --url';
        const problem = `no gateway answers at ${url} (${errorMessage(error)}); ${wayOn}`;
        reject(new SluiceError('GATEWAY_UNREACHABLE', problem, { cause: error }));
      });
    });
  }
}

/** What a timer can hold: 24 days. */
const MAX_DELAY_MS = 2 ** 31 - 1;

function isReset(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}

async function problemOf(response: IncomingMessage): Promise<string> {
  try {
    const { problem } = (await json(response)) as { problem?: unknown };
    return typeof problem === 'string' ? problem : `status ${response.statusCode ?? 0}`;
  } catch {
    return `status ${response.statusCode ?? 0}`;
  }
}
