import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';

import protobuf from 'protobufjs';

import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin, createConsumer, kafkaErrorType } from '../../src/kafka/clients/kafkajs.ts';
import type { KafkaClientOptions } from '../../src/kafka/clients/ports.ts';
import { until } from './until.ts';

/** A record as a consumer of the topic sees it. */
export interface ConsumedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly timestampMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ConsumedTelemetry extends ConsumedRecord {
  readonly deviceId: string;
  readonly deviceType: string;
  readonly sequence: number;
  /** undefined: the device gave no time. */
  readonly observedAtMs: number | undefined;
  /** In the envelope's order. */
  readonly metrics: readonly (readonly [name: string, value: unknown])[];
}

/**
 * Everything that a topic holds at the moment of the call, in offset order within each partition, read by the
 * kafkajs consumer.
 */
export async function readTopic(bootstrapServers: string, topic: string): Promise<ConsumedRecord[]> {
  const options = {
    bootstrapServers: bootstrapServers.split(','),
    clientId: 'test-reader',
    logger: silentLogger,
    retries: 20,
  };
  const offsets = await endOffsets(options, topic);
  const ends = new Map(offsets.map(({ partition, high }) => [partition, Number(high)]));
  const pending = new Set([...ends].filter(([, end]) => end > 0).map(([partition]) => partition));
  const records: ConsumedRecord[] = [];
  if (pending.size === 0) return records;

  const consumer = createConsumer(options, { groupId: `test-${randomUUID()}` });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((done, fail) => {
      consumer.on('consumer.crash', ({ payload }) => {
        if (!payload.restart) fail(payload.error);
      });
      consumer
        .run({
          eachMessage: ({ partition, message }) => {
            records.push({
              topic,
              partition,
              offset: Number(message.offset),
              key: message.key?.toString() ?? null,
              value: message.value,
              timestampMs: Number(message.timestamp),
              headers: Object.fromEntries(
                Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
              ),
            });
            if (Number(message.offset) >= (ends.get(partition) ?? 0) - 1) pending.delete(partition);
            if (pending.size === 0) done();
            return Promise.resolve();
          },
        })
        .catch(fail);
    });
  } finally {
    await consumer.disconnect();
  }
  return records;
}

/** The end of each partition. A broker that has just started may not lead its partitions yet: asked again then. */
async function endOffsets(
  options: KafkaClientOptions,
  topic: string,
): Promise<{ partition: number; high: string }[]> {
  const admin = createAdmin(options);
  await admin.connect();
  try {
    let offsets: { partition: number; high: string }[] = [];
    await until(
      async () => {
        try {
          offsets = await admin.fetchTopicOffsets(topic);
          return true;
        } catch (error) {
          if (kafkaErrorType(error) === 'NOT_LEADER_FOR_PARTITION') return false;
          throw error;
        }
      },
      { what: `leaders of ${topic}` },
    );
    return offsets;
  } finally {
    await admin.disconnect();
  }
}

/** As protobufjs has them: a number, or a Long. */
interface Int64 {
  toString(): string;
}

function toNumber(value: Int64): number {
  return Number(value.toString());
}

function plain(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? toNumber(value) : value;
}

/** The envelope decoded by protobufjs from its .proto file, as any consumer would. */
export async function readTelemetry(bootstrapServers: string, topic: string): Promise<ConsumedTelemetry[]> {
  const schema = await protobuf.load(
    join(resolve(import.meta.dirname, '../..'), 'proto/sluice/v1/telemetry.proto'),
  );
  const Telemetry = schema.lookupType('sluice.v1.Telemetry');
  const records = await readTopic(bootstrapServers, topic);
  return records.map((record) => {
    if (record.value === null) throw new Error(`a tombstone at ${record.partition}/${record.offset}`);
    const message = Telemetry.decode(record.value) as unknown as {
      deviceId: string;
      deviceType: string;
      sequence: Int64;
      observedAtMs?: Int64 | null;
      metrics: ({ name: string; value?: string } & Record<string, unknown>)[];
    };
    return {
      ...record,
      deviceId: message.deviceId,
      deviceType: message.deviceType,
      sequence: toNumber(message.sequence),
      observedAtMs: message.observedAtMs == null ? undefined : toNumber(message.observedAtMs),
      // `value` says which of the oneof is set.
      metrics: message.metrics.map((metric) => [metric.name, plain(metric[metric.value ?? ''])]),
    };
  });
}
