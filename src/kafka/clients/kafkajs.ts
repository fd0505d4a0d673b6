import { createRequire } from 'node:module';
import kafkajs from 'kafkajs';
import type { Admin, CompressionTypes, Consumer, ConsumerConfig, Kafka, LogEntry } from 'kafkajs';
import { decompressFrame } from 'lz4-napi';
import type { Logger } from '../../core/logger.ts';
import { decompressSnappy, decompressZstd } from '../protocol/decompress.ts';
import { securityConfig } from './kafkajs-security.ts';
import { PLAINTEXT, type ClientSecurity } from '../security/security.ts';

export type {
  Admin,
  Assigner,
  Consumer,
  ConsumerConfig,
  EachBatchPayload,
  ISocketFactory,
  KafkaConfig,
  KafkaMessage,
  PartitionAssigner,
} from 'kafkajs';

/** Where the cluster is, and who we say we are. */
export interface KafkaClientOptions {
  /** `host:port`, at least one. */
  readonly bootstrapServers: readonly string[];
  readonly clientId: string;
  readonly logger: Logger;
  /** How often kafkajs repeats a request by itself before it gives up; default 5. */
  readonly retries?: number;
  /** Left out, connections are in the clear and without a login. */
  readonly security?: ClientSecurity;
  /** Default 5 s. */
  readonly connectTimeoutMs?: number;
  /** Default 30 s. */
  readonly requestTimeoutMs?: number;
}

/** The kind of resource that a topic's configuration belongs to. */
export const TOPIC_RESOURCE = kafkajs.ConfigResourceTypes.TOPIC;

/** What the members of a consumer group say to each other (Kafka's "consumer" protocol type). */
export const ASSIGNER_PROTOCOL = kafkajs.AssignerProtocol;

/** An admin client; connect it before use and disconnect it afterwards. */
export function createAdmin(options: KafkaClientOptions): Admin {
  return createClient(options).admin();
}

/** A consumer that reads all of Kafka's codecs; connect it before use. */
export function createConsumer(options: KafkaClientOptions, consumer: ConsumerConfig): Consumer {
  return createClient(options).consumer(consumer);
}

/** The error code of the Kafka protocol ("TOPIC_ALREADY_EXISTS") in something that kafkajs threw, if it has one. */
export function kafkaErrorType(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // kafkajs wraps what it gave up on (KafkaJSNumberOfRetriesExceeded), and collects errors per topic.
  const { type, cause, errors } = error as { type?: unknown; cause?: unknown; errors?: unknown };
  if (typeof type === 'string') return type;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return kafkaErrorType(first ?? cause);
}

function createClient(options: KafkaClientOptions): Kafka {
  registerCodecs();
  stopNegativeTimers();
  return new kafkajs.Kafka({
    brokers: [...options.bootstrapServers],
    clientId: options.clientId,
    connectionTimeout: options.connectTimeoutMs ?? 5_000,
    requestTimeout: options.requestTimeoutMs ?? 30_000,
    retry: { retries: options.retries ?? 5, initialRetryTime: 200, maxRetryTime: 5_000 },
    ...securityConfig(options.security ?? PLAINTEXT),
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => (entry) => {
      forwardLog(options.logger, entry);
    },
  });
}

/** What happens at every start of a broker, and passes by itself. */
const ROUTINE = /coordinator is loading|coordinator is not available|^Restarting the consumer/;

/** Its parts whose failures are all thrown: whoever called says what they mean, and says it once. */
const THROWS: readonly string[] = ['Connection', 'BrokerPool', 'Producer'];

/**
 * kafkajs logs every refused request at error, then repeats it by itself (a coordinator that still loads, a
 * broker that restarts). What it really gives up on it throws, or logs as a crash of the consumer: those are
 * worth a warning.
 */
function forwardLog(logger: Logger, { namespace, level, log }: LogEntry): void {
  const { message, error } = log as { message: string; error?: unknown };
  const fields = { client: 'kafkajs', part: namespace, error, detail: message };
  const isError = level === kafkajs.logLevel.ERROR;
  const isTrouble = isError && !THROWS.includes(namespace) && !ROUTINE.test(message);
  if (isTrouble) logger.warn(fields, 'Kafka client');
  else logger.debug(fields, 'Kafka client');
}

/** kafkajs reads gzip only by itself. */
function registerCodecs(): void {
  const { CompressionTypes: types } = kafkajs;
  const codecs: Partial<Record<CompressionTypes, () => unknown>> = kafkajs.CompressionCodecs;
  codecs[types.LZ4] = () => ({ decompress: (compressed: Buffer) => decompressFrame(compressed) });
  codecs[types.Snappy] = () => ({ decompress: decompressSnappy });
  codecs[types.ZSTD] = () => ({ decompress: decompressZstd });
}

interface RequestQueue {
  throttledUntil: number;
  pending: unknown[];
}

/**
 * kafkajs 2.2.4 starts a timer with a negative delay for every request; Node 24 prints a warning about that.
 * Its last release is of 2023, so that this one method is replaced here: same behaviour, no timer in the past.
 */
function stopNegativeTimers(): void {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js') as {
    prototype: { scheduleCheckPendingRequests: (this: RequestQueue) => void };
  };
  const original = prototype.scheduleCheckPendingRequests;
  if (original.name === 'withoutNegativeTimers') return;
  prototype.scheduleCheckPendingRequests = function withoutNegativeTimers(this: RequestQueue) {
    if (this.throttledUntil > Date.now() || this.pending.length > 0) original.call(this);
  };
}
