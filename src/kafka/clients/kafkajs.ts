import { createRequire } from 'node:module';
import { connect } from 'node:tls';
import kafkajs from 'kafkajs';
import type { Admin, CompressionTypes, Consumer, ConsumerConfig, Kafka } from 'kafkajs';
import type { KafkaConfig, LogEntry, Mechanism } from 'kafkajs';
import { decompressFrame } from 'lz4-napi';
import { errorMessage } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { decompressSnappy, decompressZstd } from '../protocol/record-batch-reader.ts';
import { securityFailure } from '../security/failure.ts';
import { prepareLogin } from '../security/login.ts';
import type { Sasl } from '../security/sasl.ts';
import { PLAINTEXT, type ClientSecurity } from '../security/security.ts';
import { KafkaClientError, type KafkaClientOptions } from './ports.ts';

/*
 * kafkajs as we need it, behind the admin client and the consumer client, which alone import this file: its security,
 * its codecs, its log and its errors.
 */

export type { Admin, Consumer, EachBatchPayload, KafkaMessage, PartitionAssigner } from 'kafkajs';

/** How long the end of a client may take. */
export const CLOSE_TIMEOUT_MS = 5_000;

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
  const { type, cause } = error as { type?: unknown; cause?: unknown };
  if (typeof type === 'string') return type;
  // kafkajs wraps what it gave up on (KafkaJSNumberOfRetriesExceeded), and collects errors per topic.
  return kafkaErrorType(firstOf(error) ?? cause);
}

/** The first of the errors that an error collects. */
function firstOf(error: unknown): unknown {
  const { errors } = error as { errors?: unknown };
  return Array.isArray(errors) ? errors[0] : undefined;
}

/**
 * Has kafkajs do something.
 * @throws BrokerSecurityError a broker and we don't trust each other
 * @throws KafkaClientError anything else
 */
export async function asked<T>(options: KafkaClientOptions, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { bootstrapServers, security = PLAINTEXT } = options;
    const failure = securityFailure(error, bootstrapServers.join(', '), security.protocol);
    if (failure !== undefined) throw failure;
    const code = kafkaErrorType(error) ?? 'KAFKA_CLIENT';
    throw new KafkaClientError(code, errorMessage(firstOf(error) ?? error), { cause: error });
  }
}

function createClient(options: KafkaClientOptions): Kafka {
  registerCodecs();
  stopNegativeTimers();
  return new kafkajs.Kafka({
    brokers: [...options.bootstrapServers],
    clientId: options.clientId,
    connectionTimeout: options.timeoutMs ?? 5_000,
    requestTimeout: options.timeoutMs ?? 30_000,
    retry: { retries: options.retries ?? 5, initialRetryTime: 200, maxRetryTime: 5_000 },
    ...securityConfig(options.security ?? PLAINTEXT),
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => (entry) => forwardLog(options.logger, entry),
  });
}

/** Security in kafkajs's terms, for every client that is made with it. */
function securityConfig({ tls, sasl }: ClientSecurity): Pick<KafkaConfig, 'ssl' | 'sasl' | 'socketFactory'> {
  return {
    // `ssl` says that TLS is on; what is done is the socket factory's.
    ...(tls && { ssl: true, socketFactory: tlsSockets(tls) }),
    ...(sasl && { sasl: { mechanism: sasl.mechanism, authenticationProvider: ourLogin(sasl) } }),
  };
}

const KEEP_ALIVE_MS = 60_000;

/** Sockets as kafkajs makes them itself, but each with the certificates of that moment. */
function tlsSockets(tls: NonNullable<ClientSecurity['tls']>): NonNullable<KafkaConfig['socketFactory']> {
  return ({ host, port, onConnect }) => {
    const socket = connect({ host, port, ...tls(host) }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    return socket;
  };
}

/**
 * Our own conversations, in the place of kafkajs's: its OAUTHBEARER takes a broker's refusal for consent, because it
 * does not read the answer. Credentials are those of the moment.
 */
function ourLogin(sasl: Sasl): Mechanism['authenticationProvider'] {
  return ({ saslAuthenticate }) => ({
    async authenticate() {
      const { converse } = await prepareLogin(sasl);
      await converse(async (message) => {
        const length = Buffer.alloc(4);
        length.writeInt32BE(message.length);
        const request = { encode: () => Buffer.concat([length, message]) };
        const response = { decode: (bytes: Buffer) => bytes.subarray(4), parse: (bytes: Buffer) => bytes };
        return (await saslAuthenticate({ request, response })) ?? Buffer.alloc(0);
      });
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
  if (isError && !THROWS.includes(namespace) && !ROUTINE.test(message)) logger.warn(fields, 'Kafka client');
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
