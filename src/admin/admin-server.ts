import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { SluiceError, errorMessage } from '../core/errors.ts';
import type { Metric } from '../core/metric.ts';
import { prometheusRegistry } from './prometheus.ts';
import type { Readiness } from '../core/readiness.ts';

/** What `/api/capture` is asked for. */
interface CaptureQuery {
  readonly topic?: string;
  readonly count?: string;
}

export interface AdminServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly readiness: () => Readiness;
  /** Asked once, when the server starts. */
  readonly metrics: () => readonly Metric[];
  /** What is known of the devices; `worst` is how many of the worst are named. */
  readonly devices?: (worst: number) => unknown;
  /** The states of all deliveries. */
  readonly ledger?: () => unknown;
  /** Begins a capture of MQTT messages as lines of text, or says why not. */
  readonly capture?: (
    query: CaptureQuery,
  ) => { readonly lines: Readable } | { readonly problem: string; readonly busy: boolean };
}

/** The admin port is taken, or its address doesn't exist on this machine. */
export class AdminListenError extends SluiceError {}

/** How many of the worst devices are named: by default, and at most. */
const WORST = 20;
const WORST_MAX = 1_000;

/** HTTP for operators: `/healthz`, `/readyz`, `/metrics`, `/api/devices`, `/api/ledger`, `/api/capture`. */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #http: FastifyInstance;
  #registry = prometheusRegistry([]);

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#http = fastify({ logger: false, forceCloseConnections: true });
    this.#http.get('/healthz', () => ({ status: 'ok' }));
    this.#http.get('/readyz', (_request, reply) => {
      const readiness = options.readiness();
      return reply.code(readiness.ready ? 200 : 503).send(readiness);
    });
    this.#http.get<{ Querystring: { worst?: string } }>('/api/devices', (request) => {
      const worst = Number(request.query.worst ?? WORST);
      const limit = Number.isInteger(worst) && worst >= 0 ? Math.min(worst, WORST_MAX) : WORST;
      return { types: options.devices?.(limit) ?? [] };
    });
    this.#http.get('/api/ledger', () => options.ledger?.() ?? {});
    this.#http.get<{ Querystring: CaptureQuery }>('/api/capture', (request, reply) =>
      this.#capture(request, request.query, reply),
    );
    this.#http.get('/metrics', async (_request, reply) =>
      reply.type(this.#registry.contentType).send(await this.#registry.metrics()),
    );
  }

  /**
   * Payloads are for the operator alone. So a client must be on this machine, and must not be a browser: a page of
   * somebody else's could make the browser send the request (DNS rebinding).
   */
  #capture(request: FastifyRequest, query: CaptureQuery, reply: FastifyReply): FastifyReply {
    if (!isLoopback(request.socket.remoteAddress ?? '') || request.headers['sec-fetch-site'] !== undefined) {
      return reply.code(403).send({ problem: 'captures are for `sluice capture` on the same machine' });
    }
    const opened = this.#options.capture?.(query) ?? { problem: 'there is nothing to capture', busy: true };
    if ('problem' in opened) return reply.code(opened.busy ? 503 : 400).send({ problem: opened.problem });
    return reply.type('application/x-ndjson').send(opened.lines);
  }

  /**
   * Opens the port.
   * @throws AdminListenError ADMIN_PORT_IN_USE or ADMIN_LISTEN_FAILED
   */
  async start(): Promise<void> {
    const { host, port, metrics } = this.#options;
    this.#registry = prometheusRegistry(metrics());
    try {
      await this.#http.listen({ host, port });
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      const problem = isTaken
        ? 'is in use by another process: stop it, or set admin.port (SLUICE_ADMIN__PORT) to a free port'
        : `can't be opened: ${errorMessage(error)}; check admin.host and admin.port`;
      const code = isTaken ? 'ADMIN_PORT_IN_USE' : 'ADMIN_LISTEN_FAILED';
      throw new AdminListenError(code, `the admin port ${host}:${port} ${problem}`, { cause: error });
    }
  }

  /** The port that is really open. */
  get port(): number {
    return (this.#http.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await this.#http.close();
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address);
}
