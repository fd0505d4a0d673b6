import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { SluiceError, errorMessage } from '../core/errors.ts';
import type { Metric } from '../core/metric.ts';
import { prometheusRegistry } from './prometheus.ts';
import type { Readiness } from './readiness.ts';

export interface AdminServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly readiness: () => Readiness;
  /** Asked once, when the server starts. */
  readonly metrics: () => readonly Metric[];
  /** What is known of the devices; `worst` is how many of the worst are named. */
  readonly devices?: (worst: number) => unknown;
  /** What became of every delivery. */
  readonly ledger?: () => unknown;
  /** Begins a capture of MQTT messages as lines of text, or says why not. */
  readonly capture?: (query: {
    readonly topic?: string;
    readonly count?: string;
  }) => { readonly lines: Readable } | { readonly problem: string; readonly busy: boolean };
}

/** The admin port is taken, or its address doesn't exist on this machine. */
export class AdminListenError extends SluiceError {}

/** How many of the worst devices are named: when nobody says, and at most. */
const WORST = 20;
const WORST_MAX = 1_000;

/** As long as a scraper may wait between two scrapes and find its connection open: longer than the usual minute. */
const KEEP_ALIVE_MS = 72_000;

/** What a request is answered with; a body that is no text is JSON. */
interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body: object | string | Readable;
}

type Handler = (query: URLSearchParams, request: IncomingMessage) => Answer | Promise<Answer>;

/**
 * HTTP for operators: `/healthz`, `/readyz`, `/metrics`, `/api/devices`, `/api/ledger`, `/api/capture`. On Node's own
 * server: six paths without parameters need no framework, and fastify with its schema compilers takes 7 MB.
 */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #http: Server;
  #registry = prometheusRegistry([]);

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#handlers = new Map<string, Handler>([
      ['/healthz', () => ({ body: { status: 'ok' } })],
      ['/readyz', () => readinessAnswer(options.readiness())],
      ['/metrics', async () => ({ type: this.#registry.contentType, body: await this.#registry.metrics() })],
      ['/api/devices', (query) => ({ body: { types: options.devices?.(worstOf(query)) ?? [] } })],
      ['/api/ledger', () => ({ body: options.ledger?.() ?? {} })],
      ['/api/capture', (query, request) => this.#capture(query, request)],
    ]);
    this.#http = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      void this.#serve(request, response);
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      send(response, await this.#answer(request), request.method === 'HEAD');
    } catch (error) {
      send(response, { status: 500, body: { problem: errorMessage(error) } });
    }
  }

  #answer(request: IncomingMessage): Answer | Promise<Answer> {
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const handler = this.#handlers.get(path);
    if (handler === undefined) {
      return {
        status: 404,
        body: { problem: `nothing at ${path}`, paths: [...this.#handlers.keys()] },
      };
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { status: 405, body: { problem: `${path} can only be read (GET)` } };
    }
    return handler(new URLSearchParams(query), request);
  }

  /**
   * Payloads are nobody's business but the operator's: only who is on this machine may have them, and no browser,
   * which a page of somebody else's could be sending (DNS rebinding).
   */
  #capture(query: URLSearchParams, request: IncomingMessage): Answer {
    if (!isLoopback(request.socket.remoteAddress ?? '') || request.headers['sec-fetch-site'] !== undefined) {
      return {
        status: 403,
        body: { problem: 'captures are for `sluice capture` on the same machine' },
      };
    }
    const topic = query.get('topic');
    const count = query.get('count');
    const opened = this.#options.capture?.({
      ...(topic === null ? {} : { topic }),
      ...(count === null ? {} : { count }),
    }) ?? { problem: 'there is nothing to capture', busy: true };
    if ('problem' in opened) return { status: opened.busy ? 503 : 400, body: { problem: opened.problem } };
    return { type: 'application/x-ndjson', body: opened.lines };
  }

  /**
   * Opens the port.
   * @throws AdminListenError ADMIN_PORT_IN_USE or ADMIN_LISTEN_FAILED
   */
  async start(): Promise<void> {
    const { host, port, metrics } = this.#options;
    this.#registry = prometheusRegistry(metrics());
    try {
      await this.#listen(host, port);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
        throw new AdminListenError(
          'ADMIN_PORT_IN_USE',
          `the admin port ${host}:${port} is in use by another process: stop it, or set admin.port (SLUICE_ADMIN__PORT) to a free port`,
          { cause: error },
        );
      }
      throw new AdminListenError(
        'ADMIN_LISTEN_FAILED',
        `the admin port ${host}:${port} can't be opened: ${errorMessage(error)}; check admin.host and admin.port`,
        { cause: error },
      );
    }
  }

  #listen(host: string, port: number): Promise<void> {
    return new Promise((listening, failed) => {
      this.#http.once('error', failed);
      this.#http.listen({ host, port }, () => {
        this.#http.off('error', failed);
        listening();
      });
    });
  }

  /** The port that is really open. */
  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** Ends what is being answered, too: a capture would never end by itself. */
  close(): Promise<void> {
    return new Promise((closed) => {
      this.#http.close(() => {
        closed();
      });
      this.#http.closeAllConnections();
    });
  }
}

function readinessAnswer(readiness: Readiness): Answer {
  return { status: readiness.ready ? 200 : 503, body: readiness };
}

function worstOf(query: URLSearchParams): number {
  const worst = Number(query.get('worst') ?? WORST);
  return Number.isInteger(worst) && worst >= 0 ? Math.min(worst, WORST_MAX) : WORST;
}

function send(response: ServerResponse, { status = 200, type, body }: Answer, headOnly = false): void {
  response.statusCode = status;
  if (!(body instanceof Readable)) {
    const isText = typeof body === 'string';
    const bytes = Buffer.from(isText ? body : JSON.stringify(body));
    response.setHeader('content-type', type ?? (isText ? 'text/plain' : 'application/json; charset=utf-8'));
    response.setHeader('content-length', bytes.length);
    response.end(bytes);
    return;
  }
  response.setHeader('content-type', type ?? 'application/octet-stream');
  if (headOnly) {
    body.destroy();
    response.end();
    return;
  }
  response.flushHeaders();
  // Whoever goes away, the reader or the gateway, ends the other side too.
  pipeline(body, response, () => undefined);
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address);
}
