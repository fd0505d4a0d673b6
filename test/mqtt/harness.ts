import { connect, type Socket } from 'node:net';
import { generate, parser, type Packet } from 'mqtt-packet';
import { onTestFinished } from 'vitest';
import type { Cancel, Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import { Outcome } from '../../src/core/publication.ts';
import type { Publication, PublicationOrigin, PublicationSink, Topic } from '../../src/core/publication.ts';
import { Ingress, type IngressOptions } from '../../src/mqtt/ingress.ts';
import type { IngressLimits } from '../../src/mqtt/limits.ts';
import type { LogDirectory } from '../../src/durable-log/log-directory.ts';
import { until } from '../support/until.ts';

/** A clock whose keepalive stands still until a test turns it; short waits (a few ms) really pass. */
export class TestClock implements Clock {
  /** What the wall clock is off by, when somebody sets it. */
  wallOffsetMs = 0;
  #nowMs = 1_700_000_000_000;
  #scheduled: { readonly dueMs: number; readonly callback: () => void }[] = [];

  wallMs(): number {
    return this.#nowMs + this.wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  schedule(callback: () => void, delayMs: number): Cancel {
    if (delayMs < 50) {
      const timer = setTimeout(() => {
        this.#nowMs += delayMs;
        callback();
      }, delayMs);
      return () => {
        clearTimeout(timer);
      };
    }
    const entry = { dueMs: this.#nowMs + delayMs, callback };
    this.#scheduled.push(entry);
    return () => {
      this.#scheduled = this.#scheduled.filter((other) => other !== entry);
    };
  }

  /** Lets time pass; everything that falls due is called in order. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#scheduled
        .filter(({ dueMs }) => dueMs <= end)
        .toSorted((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#scheduled = this.#scheduled.filter((other) => other !== next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = Math.max(this.#nowMs, end);
  }
}

/** A publication as the sink saw it. */
export interface Accepted {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly packetId: number;
  readonly clientId: string;
  complete(outcome?: Outcome): void;
}

/** A sink under a test's control: holds what it accepts until the test completes it. */
export class HeldSink implements PublicationSink {
  readonly accepted: Accepted[] = [];
  /** Completes at once, before accept returns. */
  completing = false;
  /** How many more it takes; then it says no. */
  room = Number.POSITIVE_INFINITY;
  readonly #waiting: PublicationOrigin[] = [];
  refusals = 0;
  /** Topics for which there is no room. */
  readonly closedTopics = new Set<string>();
  /** Topics of publications that came again and were not handed over again. */
  readonly suppressions: string[] = [];

  suppressed({ name }: Topic): void {
    this.suppressions.push(name);
  }

  accept(publication: Publication, origin: PublicationOrigin, token: number): boolean {
    if (this.room <= 0 || this.closedTopics.has(publication.topic.name)) {
      this.refusals++;
      this.#waiting.push(origin);
      return false;
    }
    this.room--;
    this.accepted.push({
      topic: publication.topic.name,
      payload: publication.payload.toString('utf8'),
      qos: publication.qos,
      retain: publication.retain,
      dup: publication.dup,
      packetId: publication.packetId,
      clientId: publication.clientId,
      complete: (outcome = Outcome.Delivered) => {
        origin.complete(token, outcome);
      },
    });
    if (this.completing) origin.complete(token, Outcome.Delivered);
    return true;
  }

  /** There is room for so many more; those who wait are told. */
  makeRoom(room = Number.POSITIVE_INFINITY): void {
    this.room = room;
    for (const origin of this.#waiting.splice(0)) origin.resume();
  }

  completeAll(): void {
    for (const accepted of this.accepted.splice(0)) accepted.complete();
  }

  get payloads(): string[] {
    return this.accepted.map(({ payload }) => payload);
  }

  async holds(count: number): Promise<void> {
    await until(() => this.accepted.length >= count, { everyMs: 1, what: `${count} publications` });
  }
}

/** A logger that remembers what it was told at warn and error. */
export class RecordingLogger implements Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[] = [];

  debug(): void {}
  info(): void {}
  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }
  child(): Logger {
    return this;
  }
}

export interface TestIngress {
  readonly ingress: Ingress;
  readonly sink: HeldSink;
  readonly clock: TestClock;
  readonly logger: RecordingLogger;
  readonly port: number;
  readonly url: string;
}

/** An ingress on a free port, closed when the test ends. `access`: who is let in, and may do what. */
export async function startIngress(
  limits: Partial<IngressLimits> = {},
  sessions?: LogDirectory,
  access: Pick<IngressOptions, 'authenticator' | 'permissions'> = {},
): Promise<TestIngress> {
  const sink = new HeldSink();
  const clock = new TestClock();
  const logger = new RecordingLogger();
  const ingress = new Ingress({
    listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }],
    limits,
    sessions,
    ...access,
    sink,
    clock,
    logger,
  });
  await ingress.start();
  onTestFinished(() => ingress.close());
  const port = ingress.addresses()[0]!.port;
  return { ingress, sink, clock, logger, port, url: `mqtt://127.0.0.1:${port}` };
}

/** A client that says exactly what a test wants it to say. */
export class RawClient {
  readonly received: Packet[] = [];
  readonly bytes: number[] = [];
  closed = false;
  readonly #socket: Socket;

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const client = new RawClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return client;
  }

  /** Connected and accepted. */
  static async connect(port: number, options: ConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.open(port);
    client.send(connectPacket(options));
    await client.receives('connack');
    return client;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    const packets = parser({ protocolVersion: 4 });
    packets.on('packet', (packet) => this.received.push(packet));
    packets.on('error', () => {});
    socket.on('data', (bytes) => {
      this.bytes.push(...bytes);
      packets.parse(bytes);
    });
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('error', () => {
      this.closed = true;
    });
    onTestFinished(() => {
      socket.destroy();
    });
  }

  send(...packets: (Packet | Uint8Array)[]): void {
    this.#socket.write(
      Buffer.concat(packets.map((packet) => (packet instanceof Uint8Array ? packet : generate(packet)))),
    );
  }

  /** As the network does: without DISCONNECT. */
  drop(): void {
    this.#socket.destroy();
  }

  /** Sends what it has to send, then closes its side. */
  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Bytes that the ingress does not take. */
  get stuckBytes(): number {
    return this.#socket.writableLength;
  }

  of<C extends Packet['cmd']>(cmd: C): Extract<Packet, { cmd: C }>[] {
    return this.received.filter((packet): packet is Extract<Packet, { cmd: C }> => packet.cmd === cmd);
  }

  /** Packet identifiers of everything received of one kind, in order. */
  ids(cmd: 'puback' | 'pubrec' | 'pubcomp'): number[] {
    return this.of(cmd).map(({ messageId }) => messageId!);
  }

  async receives(cmd: Packet['cmd'], count = 1): Promise<void> {
    await until(() => this.of(cmd).length >= count, { everyMs: 1, what: `${count} ${cmd}` });
  }

  async closes(): Promise<void> {
    await until(() => this.closed, { everyMs: 1, what: 'the connection to be closed' });
  }

  /** Everything sent so far has been seen: a PINGREQ behind it has its answer. */
  async settles(): Promise<void> {
    const pings = this.of('pingresp').length;
    this.send({ cmd: 'pingreq' });
    await this.receives('pingresp', pings + 1);
  }
}

export interface ConnectOptions {
  readonly clientId?: string;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly will?: { topic: string; payload: string; qos?: 0 | 1 | 2; retain?: boolean };
  readonly username?: string;
  readonly password?: string;
}

export function connectPacket({
  clientId = 'device',
  clean = true,
  keepalive = 0,
  will,
  username,
  password,
}: ConnectOptions = {}): Packet {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId,
    clean,
    keepalive,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topic,
            payload: Buffer.from(will.payload),
            qos: will.qos ?? 0,
            retain: will.retain ?? false,
          },
        }),
  };
}

export interface PublishOptions {
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  readonly dup?: boolean;
}

export function publish(
  messageId: number,
  topic = 'fleet/north/device/telemetry',
  payload = String(messageId),
  { qos = 1, retain = false, dup = false }: PublishOptions = {},
): Packet {
  return { cmd: 'publish', topic, payload, qos, retain, dup, ...(qos === 0 ? {} : { messageId }) };
}

export function subscribe(messageId: number, ...filters: [topic: string, qos: 0 | 1 | 2][]): Packet {
  return { cmd: 'subscribe', messageId, subscriptions: filters.map(([topic, qos]) => ({ topic, qos })) };
}

export const range = (count: number, from = 1): number[] =>
  Array.from({ length: count }, (_, index) => from + index);
