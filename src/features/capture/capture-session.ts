import { get, type ClientRequest, type IncomingMessage } from 'node:http';
import { linesOf, type CaptureWriter } from './capture-file.ts';
import { parseLine } from './captured-message.ts';
import { errorMessage, SluiceError } from '../../core/errors.ts';

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
    const timer = setTimeout(() => {
      this.#finish('time');
    }, limitMs ?? MAX_DELAY_MS);
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
          void problemOf(response).then((problem) => {
            reject(new SluiceError('CAPTURE_REFUSED', `${url} refuses the capture: ${problem}`));
          });
        }
      });
      this.#request = request;
      request.on('error', (error) => {
        reject(
          new SluiceError(
            'GATEWAY_UNREACHABLE',
            `no gateway answers at ${url} (${errorMessage(error)}); start one with \`sluice run\`, or name its admin port with --url`,
            { cause: error },
          ),
        );
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
  let text = '';
  try {
    for await (const { text: line } of linesOf(response)) text += line;
    const { problem } = JSON.parse(text) as { problem?: unknown };
    return typeof problem === 'string' ? problem : `status ${response.statusCode ?? 0}`;
  } catch {
    return `status ${response.statusCode ?? 0}`;
  }
}
