import type { ReadListener } from '../../../src/kafka/clients/group-reader.ts';
import type { ConsumedRecord } from '../../../src/kafka/clients/ports.ts';
import { CommandTopic, type CommandSource } from '../../../src/features/commands/command-topic.ts';
import type {
  CommandSettings,
  DeviceSessions,
  SessionMessage,
  SessionOutcome,
} from '../../../src/core/device-sessions.ts';
import type { RecordSink, RecordTarget } from '../../../src/delivery/ports.ts';
import { Undelivered } from '../../../src/features/commands/undelivered.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/logger.ts';
import type { SerializedRecord } from '../../../src/core/record.ts';
import { expect } from 'vitest';
import { TestClock } from '../../mqtt/harness.ts';

const SETTINGS: CommandSettings = {
  topic: 'commands',
  group: 'group',
  deviceHeader: undefined,
  mqttTopic: 'devices/{device}/commands/{correlation}',
  clientId: 'c-{device}',
  correlationHeader: 'correlation-id',
  expiryMs: undefined,
  expiryHeader: 'expiry-ms',
  undeliveredTopic: 'commands.undelivered',
  ackTimeoutMs: 60_000,
  maxInFlight: 100,
  maxInFlightPerDevice: 50,
  maxInFlightBytes: 1_000_000,
};

/** A consumer group under a test's control: a log for each partition, and what was committed of it. */
export class FakeSource implements CommandSource {
  readonly logs: ConsumedRecord[][] = [];
  readonly committed: bigint[] = [];
  readonly positions: number[] = [];
  readonly problem = undefined;
  readonly lag = 0;
  /** Whether commits succeed. */
  commits = true;
  readonly #held = new Set<number>();
  #listener: ReadListener | undefined;
  #isPaused = false;

  constructor(partitions: number) {
    for (let partition = 0; partition < partitions; partition++) {
      this.logs.push([]);
      this.committed.push(0n);
      this.positions.push(0);
    }
  }

  start(listener: ReadListener): void {
    this.#listener = listener;
    this.rejoin();
  }

  /** The membership begins anew: everything that was not committed comes again. */
  rejoin(): void {
    this.#held.clear();
    for (const partition of this.logs.keys()) this.positions[partition] = Number(this.committed[partition]);
    this.#listener!.joined();
  }

  /** Offers what there is, at most so many records of each partition. */
  poll(most = Number.POSITIVE_INFINITY): void {
    for (const [partition, log] of this.logs.entries()) {
      if (this.#held.has(partition) || this.#isPaused) continue;
      const position = this.positions[partition]!;
      const records = log.slice(position, position + most);
      if (records.length === 0) continue;
      const taken = this.#listener!.records(partition, records);
      this.positions[partition] = position + taken;
      if (taken < records.length) this.#held.add(partition);
    }
  }

  resume(partition: number): void {
    this.#held.delete(partition);
  }

  commit(offsets: ReadonlyMap<number, bigint>): Promise<boolean> {
    if (this.commits) for (const [partition, offset] of offsets) this.committed[partition] = offset;
    return Promise.resolve(this.commits);
  }

  pause(): void {
    this.#isPaused = true;
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  add(partition: number, key: string | null, value: string | null, more: Partial<ConsumedRecord> = {}): void {
    this.logs[partition]!.push({
      offset: BigInt(this.logs[partition]!.length),
      timestampMs: 1_700_000_000_000,
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: [],
      ...more,
    });
  }
}

export interface Posted {
  readonly message: SessionMessage;
  readonly text: string;
  readonly complete: (outcome: SessionOutcome) => void;
}

/** Sessions that do nothing by themselves. */
class FakeSessions implements DeviceSessions {
  readonly posted: Posted[] = [];

  publish(message: SessionMessage, completed: (outcome: SessionOutcome) => void): void {
    this.posted.push({ message, text: message.payload.toString(), complete: completed });
  }

  onAbandoned(): void {
    // The bridge listens, not the topic.
  }

  of(text: string): Posted {
    return this.posted.findLast((posted) => posted.text === text)!;
  }
}

/** What a producer answers that does not take a record. */
export class Refusal extends SluiceError {
  readonly isRecordFault: boolean;

  constructor(code: string, isRecordFault: boolean) {
    super(code, code.toLowerCase());
    this.isRecordFault = isRecordFault;
  }
}

export interface Written {
  readonly topic: string;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Buffer;
  readonly complete: (error?: Refusal) => void;
}

/** A producer under a test's control. */
class FakeOutlet implements RecordSink {
  readonly written: Written[] = [];
  hasRoom = true;
  /** Completes at once. */
  completing = true;
  refusal: Refusal | undefined;
  readonly #waiting: (() => void)[] = [];

  tryAppend(
    record: SerializedRecord,
    target: RecordTarget,
    token: number,
  ): ReturnType<RecordSink['tryAppend']> {
    if (!this.hasRoom) return { wait: (callback) => this.#waiting.push(callback) };
    if (this.refusal !== undefined) return this.refusal;
    const written: Written = {
      topic: record.topic,
      key: record.key === null ? null : Buffer.from(record.key).toString(),
      value: record.value === null ? null : Buffer.from(record.value).toString(),
      headers: Buffer.from(record.headers),
      complete: (error) => {
        const unread = (): never => expect.unreachable('the record is not asked for');
        target.recordCompleted(token, { error, topic: record.topic, record: unread }, 0);
      },
    };
    this.written.push(written);
    if (this.completing) {
      queueMicrotask(() => {
        written.complete();
      });
    }
    return undefined;
  }

  makeRoom(): void {
    this.hasRoom = true;
    for (const callback of this.#waiting.splice(0)) callback();
  }
}

export interface Rig {
  readonly source: FakeSource;
  readonly sessions: FakeSessions;
  readonly outlet: FakeOutlet;
  readonly clock: TestClock;
  readonly commands: CommandTopic;
  /** Lets offsets be committed. */
  readonly tick: () => Promise<void>;
}

export function startCommands(settings: Partial<CommandSettings> = {}, partitions = 1): Rig {
  const source = new FakeSource(partitions);
  const sessions = new FakeSessions();
  const outlet = new FakeOutlet();
  const clock = new TestClock();
  const commands = new CommandTopic({
    settings: { ...SETTINGS, ...settings },
    source,
    sessions: () => sessions,
    undelivered: new Undelivered(outlet, clock, silentLogger),
    clock,
    logger: silentLogger,
  });
  commands.start();
  const tick = async (): Promise<void> => {
    await new Promise(setImmediate);
    clock.advance(500);
    await new Promise(setImmediate);
  };
  return { source, sessions, outlet, clock, commands, tick };
}
