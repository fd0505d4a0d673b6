import type { SluiceConfig } from '../config/config.ts';
import type { Cancel, Clock } from '../core/clock.ts';
import { errorMessage } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { OutputFormat } from '../core/profile/output-spec.ts';
import type { ValueFraming } from '../core/route.ts';
import { envelopeSchema, messageIndexesOf } from '../decode/envelope/envelope.ts';
import { framePrefix } from '../producer/schema-registry/confluent-framing.ts';
import { SchemaRegistry } from '../producer/schema-registry/schema-registry.ts';

const RETRY_MS = 5_000;

/** What a framing works with, once the gateway is built. */
export interface Connection {
  readonly registry: SchemaRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Registers the envelope's schema under the subjects that profiles name, and keeps the bytes ready that stand
 * before each value. Messages wait until the registry has answered. A registry that can't be reached, or refuses,
 * is asked again every 5 seconds and shows in readiness meanwhile.
 */
export class ValueFramings {
  #connection: Connection | undefined;
  readonly #prefixes = new Map<string, Uint8Array>();
  #assumed = false;
  /** Why subjects have no schema yet. */
  readonly #problems = new Map<string, string>();
  readonly #waiting: (() => void)[] = [];
  readonly #retries = new Set<Cancel>();
  /** Grows when earlier questions don't count any more. */
  #round = 0;

  /** For a rehearsal, which asks no registry: every schema has the id 0. */
  assume(): void {
    this.#assumed = true;
  }

  /** From now on the registry is asked. */
  connect(connection: Connection): void {
    this.#connection = connection;
  }

  /** The framing of one profile; `subject` names the subject of a Kafka topic. */
  framing(format: OutputFormat, subject: (topic: string) => string): ValueFraming {
    return {
      prefix: (topic) => this.#prefix(format, subject(topic)),
      whenReady: (callback) => {
        this.#waiting.push(callback);
      },
    };
  }

  /** Why messages wait, one text for each subject. */
  problems(): string[] {
    return [...this.#problems].map(([subject, problem]) => `${subject}: ${problem}`);
  }

  /** Other profiles may name other subjects. Subjects without an answer are asked for again if they are needed. */
  askAnew(): void {
    this.#giveUp();
    this.#callWaiting();
  }

  close(): void {
    this.#giveUp();
    this.#connection?.registry.close();
  }

  #giveUp(): void {
    this.#round++;
    for (const cancel of this.#retries) cancel();
    this.#retries.clear();
    this.#problems.clear();
  }

  #callWaiting(): void {
    for (const callback of this.#waiting.splice(0)) callback();
  }

  #prefix(format: OutputFormat, subject: string): Uint8Array | undefined {
    const key = `${format} ${subject}`;
    if (this.#assumed) return prefixOf(0, format);
    const prefix = this.#prefixes.get(key);
    if (prefix === undefined && !this.#problems.has(subject) && this.#connection !== undefined) {
      this.#problems.set(subject, 'not registered yet');
      void this.#register(this.#connection, key, format, subject);
    }
    return prefix;
  }

  /** Never rejects. */
  async #register(connection: Connection, key: string, format: OutputFormat, subject: string): Promise<void> {
    const { registry, clock, logger } = connection;
    const round = this.#round;
    try {
      const id = await registry.register(subject, envelopeSchema(format));
      this.#prefixes.set(key, prefixOf(id, format));
      this.#problems.delete(subject);
      this.#callWaiting();
    } catch (error) {
      if (this.#round !== round) return;
      const problem = errorMessage(error);
      if (this.#problems.get(subject) !== problem) {
        logger.warn({ subject, reason: problem }, 'the schema is not registered; its messages wait');
      }
      this.#problems.set(subject, problem);
      const cancel = clock.schedule(() => {
        this.#retries.delete(cancel);
        void this.#register(connection, key, format, subject);
      }, RETRY_MS);
      this.#retries.add(cancel);
    }
  }
}

function prefixOf(id: number, format: OutputFormat): Uint8Array {
  return framePrefix(id, messageIndexesOf(format));
}

/** Connects the frames of values with the Schema Registry, where there is one. */
export function connectSchemaRegistry(
  { kafka: { schemaRegistry } }: SluiceConfig,
  framings: ValueFramings,
  { clock, logger }: Omit<Connection, 'registry'>,
): void {
  if (schemaRegistry === undefined) return;
  const { url, userInfo } = schemaRegistry;
  const [username = '', ...password] = userInfo?.split(':') ?? [];
  const auth = userInfo === undefined ? {} : { auth: { username, password: password.join(':') } };
  framings.connect({ registry: new SchemaRegistry({ url, ...auth, clock, logger }), clock, logger });
}
