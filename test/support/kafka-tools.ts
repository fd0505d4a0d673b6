import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SHORT_LIVED_JVM } from '../../src/testbed/local-kafka/broker-files.ts';
import { classpath, runProgram } from '../../src/testbed/local-kafka/jars.ts';

/** What DumpLogSegments says of one record batch. */
export interface DumpedBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly count: number;
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  /** Bytes, header included. */
  readonly size: number;
  readonly magic: number;
  readonly compressCodec: string;
  readonly createTime: number;
  readonly isValid: boolean;
}

/**
 * Apache Kafka's own command line tools, from the broker's jars: judges that share no code with us.
 * Each call is a Java program of its own and takes about a second.
 */
export class KafkaTools {
  readonly #java: string;
  readonly #jarFolder: string;
  readonly #bootstrapServers: string;
  readonly #dataDirs: readonly string[];

  /** `dataDirs` are the log.dirs of the nodes 1, 2, ... */
  constructor(java: string, jarFolder: string, bootstrapServers: string, dataDirs: readonly string[]) {
    this.#java = java;
    this.#jarFolder = jarFolder;
    this.#bootstrapServers = bootstrapServers;
    this.#dataDirs = dataDirs;
  }

  /** Runs a class with a main method, returns its stdout; throws with its output if it exits otherwise than 0. */
  async run(className: string, args: readonly string[] = [], timeoutMs = 60_000): Promise<string> {
    const { status, stdout, stderr } = await runProgram(
      this.#java,
      // Log4j's default is to say errors on the console, which is just right here.
      [...SHORT_LIVED_JVM, '-Dfile.encoding=UTF-8', '-cp', classpath(this.#jarFolder), className, ...args],
      { timeoutMs },
    );
    if (status === 0) return stdout;
    throw new Error(`${className} ${args.join(' ')} ended with ${String(status)}:\n${stdout}\n${stderr}`);
  }

  /** org.apache.kafka.tools.TopicCommand, e.g. `topicCommand('--describe', '--topic', 't')`. */
  async topicCommand(...args: string[]): Promise<string> {
    return this.run('org.apache.kafka.tools.TopicCommand', [
      '--bootstrap-server',
      this.#bootstrapServers,
      ...args,
    ]);
  }

  async createTopic(
    topic: string,
    options: { partitions?: number; replicationFactor?: number; config?: Record<string, string> } = {},
  ): Promise<void> {
    const config = Object.entries(options.config ?? {}).flatMap(([key, value]) => [
      '--config',
      `${key}=${value}`,
    ]);
    const factor = options.replicationFactor;
    await this.topicCommand(
      '--create',
      '--topic',
      topic,
      '--partitions',
      String(options.partitions ?? 1),
      ...(factor === undefined ? [] : ['--replication-factor', String(factor)]),
      ...config,
    );
  }

  /** org.apache.kafka.tools.GetOffsetShell: partition -> end offset (or, with `--time -2`, the first one). */
  async offsets(topic: string, time: -1 | -2 = -1): Promise<Map<number, number>> {
    const output = await this.run('org.apache.kafka.tools.GetOffsetShell', [
      '--bootstrap-server',
      this.#bootstrapServers,
      '--topic',
      topic,
      '--time',
      String(time),
    ]);
    const offsets = new Map<number, number>();
    for (const line of output.trim().split('\n')) {
      const [, partition, offset] = /^.*:(\d+):(\d+)$/.exec(line) ?? [];
      if (partition !== undefined && offset !== undefined) offsets.set(Number(partition), Number(offset));
    }
    return offsets;
  }

  /** org.apache.kafka.tools.DumpLogSegments over all segments of a partition on one node. */
  async dumpLogSegments(topic: string, partition: number, args: string[] = [], node = 1): Promise<string> {
    const folder = join(this.#dataDirs[node - 1]!, `${topic}-${partition}`);
    const segments = readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .sort()
      .map((name) => join(folder, name));
    return this.run('org.apache.kafka.tools.DumpLogSegments', ['--files', segments.join(','), ...args]);
  }

  /** The record batches of a partition as they lie on the broker's disk, in order. */
  async batches(topic: string, partition: number, node = 1): Promise<DumpedBatch[]> {
    const output = await this.dumpLogSegments(topic, partition, [], node);
    return output
      .split('\n')
      .filter((line) => line.startsWith('baseOffset:'))
      .map((line) => {
        const field = (name: string): string =>
          new RegExp(`(?:^| )${name}: (\\S+)`, 'i').exec(line)?.[1] ?? `no ${name} in: ${line}`;
        return {
          baseOffset: Number(field('baseOffset')),
          lastOffset: Number(field('lastOffset')),
          count: Number(field('count')),
          baseSequence: Number(field('baseSequence')),
          lastSequence: Number(field('lastSequence')),
          producerId: Number(field('producerId')),
          producerEpoch: Number(field('producerEpoch')),
          isTransactional: field('isTransactional') === 'true',
          isControl: field('isControl') === 'true',
          size: Number(field('size')),
          magic: Number(field('magic')),
          compressCodec: field('compresscodec').toLowerCase(),
          createTime: Number(field('CreateTime')),
          isValid: field('isvalid') === 'true',
        };
      });
  }

  /** org.apache.kafka.tools.consumer.ConsoleConsumer from the beginning: one line a record, `count` of them. */
  async consume(topic: string, count: number, args: string[] = []): Promise<string[]> {
    const output = await this.run('org.apache.kafka.tools.consumer.ConsoleConsumer', [
      '--bootstrap-server',
      this.#bootstrapServers,
      '--topic',
      topic,
      '--from-beginning',
      '--max-messages',
      String(count),
      '--timeout-ms',
      '30000',
      ...args,
    ]);
    return output.split('\n').slice(0, count);
  }
}
