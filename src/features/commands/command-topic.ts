import { within, type Cancel, type Clock } from '../../core/clock.ts';
import type { AbandonReason, CommandSettings, DeviceSessions } from '../../core/device-sessions.ts';
import type { SessionMessage, SessionOutcome } from '../../core/device-sessions.ts';
import type { Logger } from '../../core/logger.ts';
import type { GroupReader, ReadListener } from '../../kafka/clients/group-reader.ts';
import type { ConsumedRecord } from '../../kafka/clients/ports.ts';
import { bytesOf, isObstacle, readCommand, referenceOf } from './command.ts';
import type { Command, CommandPlace, Obstacle, ObstacleCode } from './command.ts';
import { CommandStats } from './command-stats.ts';
import { OffsetWindow } from './offset-window.ts';
import type { Undelivered, UndeliveredCommand } from './undelivered.ts';

/** Where the commands of one topic come from: the only member of its consumer group. */
export type CommandSource = Pick<GroupReader, keyof GroupReader>;

export interface CommandTopicOptions {
  readonly settings: CommandSettings;
  readonly source: CommandSource;
  /** Asked for with each command: they are there once the gateway has started. */
  readonly sessions: () => DeviceSessions;
  readonly undelivered: Undelivered;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often offsets are committed, and waiting commands looked at. */
const TICK_MS = 500;
/** What the stop waits for Kafka to take the last offsets. */
const LAST_COMMIT_MS = 5_000;
/** A reason is logged so often at most. */
const LOG_EVERY_MS = 60_000;

/** A command on its way. */
interface InFlight {
  readonly partition: number;
  readonly record: ConsumedRecord;
  readonly device: string | undefined;
  readonly bytes: number;
  readonly deadlineMs: number;
  /** It waits for its device, or for the session store; otherwise for Kafka, being undelivered. */
  waits: boolean;
}

/**
 * Commands of one Kafka topic on their way to devices. Each ends delivered, stored, or in the topic of
 * undelivered commands, in any order; a partition's offset moves over those that have ended. So one device that is
 * away costs its partition no more than its own share of the window.
 */
export class CommandTopic implements ReadListener {
  readonly stats = new CommandStats();
  readonly #options: CommandTopicOptions;
  readonly #settings: CommandSettings;
  readonly #windows = new Map<number, OffsetWindow>();
  /** Partitions that have been offered more than there was room for. */
  readonly #held = new Set<number>();
  readonly #perDevice = new Map<string, number>();
  /** In the order in which they came, and so of their deadlines. */
  readonly #waiting = new Set<InFlight>();
  readonly #logged = new Map<ObstacleCode, number>();
  #committing: Promise<void> | undefined;
  #cancelTick: Cancel = () => {};
  #isStopped = false;

  constructor(options: CommandTopicOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  get topic(): string {
    return this.#settings.topic;
  }

  get lag(): number {
    return this.#options.source.lag;
  }

  /** Why no commands are read at present; undefined: they are. */
  get problem(): string | undefined {
    return this.#options.source.problem;
  }

  start(): void {
    this.#options.source.start(this);
    this.#scheduleTick();
  }

  /** Takes no further commands. Those on their way go on. */
  pause(): void {
    this.#isStopped = true;
    this.#options.source.pause();
  }

  /**
   * Commits what has ended, and leaves the group: what has not comes again after the next start, and so does
   * everything if Kafka does not answer in time.
   */
  async stop(): Promise<void> {
    this.pause();
    this.#cancelTick();
    await within(this.#options.clock, LAST_COMMIT_MS, this.#commitLast());
    await this.#options.source.stop();
  }

  async #commitLast(): Promise<void> {
    await this.#committing;
    await this.#commitOnce();
  }

  joined(): void {
    for (const window of this.#windows.values()) window.joined();
  }

  records(partition: number, records: readonly ConsumedRecord[]): number {
    const window = this.#windowOf(partition);
    this.#held.delete(partition);
    let taken = 0;
    for (const record of records) {
      if (!window.knows(record.offset) && !this.#take(partition, window, record)) {
        this.#held.add(partition);
        break;
      }
      taken++;
    }
    return taken;
  }

  #hasRoom(window: OffsetWindow, bytes: number): boolean {
    if (this.#isStopped) return false;
    const { inFlight, inFlightBytes } = this.stats;
    // One that is too large for the bound goes alone.
    const fits = inFlight === 0 || inFlightBytes + bytes <= this.#settings.maxInFlightBytes;
    return fits && window.size < this.#settings.maxInFlight;
  }

  /** False: there is no room for it. */
  #take(partition: number, window: OffsetWindow, record: ConsumedRecord): boolean {
    const bytes = bytesOf(record);
    if (!this.#hasRoom(window, bytes)) return false;
    const command = readCommand(record, partition, this.#settings);
    const device = isObstacle(command) ? undefined : command.device;
    const deadlineMs = this.#options.clock.monotonicMs() + this.#settings.ackTimeoutMs;
    const inFlight: InFlight = { partition, record, device, bytes, deadlineMs, waits: true };
    window.open(record.offset, inFlight);
    this.stats.received++;
    this.stats.inFlight++;
    this.stats.inFlightBytes += bytes;
    if (isObstacle(command)) {
      this.#undeliver(inFlight, undefined, command);
      return true;
    }
    const own = this.#perDevice.get(command.device) ?? 0;
    this.#perDevice.set(command.device, own + 1);
    if (own >= this.#settings.maxInFlightPerDevice) this.#undeliver(inFlight, command, FULL_SHARE);
    else this.#publish(inFlight, command);
    return true;
  }

  #publish(inFlight: InFlight, command: Command): void {
    const { clientId, mqttTopic, payload, expiresAtMs, device } = command;
    const { partition, record } = inFlight;
    this.#waiting.add(inFlight);
    const message: SessionMessage = {
      clientId,
      topic: mqttTopic,
      payload,
      ...(expiresAtMs !== undefined && { expiresAtMs }),
      reference: referenceOf({ topic: this.topic, partition, offset: record.offset, device }),
    };
    this.#options.sessions().publish(message, (outcome) => this.#settled(inFlight, command, outcome));
  }

  #settled(inFlight: InFlight, command: Command, outcome: SessionOutcome): void {
    // It was given up before.
    if (!inFlight.waits) return;
    if (outcome === 'delivered' || outcome === 'stored') {
      this.stats[outcome]++;
      this.#ended(inFlight);
    } else this.#undeliver(inFlight, command, OBSTACLES[outcome]);
  }

  #undeliver(inFlight: InFlight, command: Command | undefined, obstacle: Obstacle): void {
    inFlight.waits = false;
    this.#waiting.delete(inFlight);
    const { partition, record } = inFlight;
    const whose = { mqttTopic: command?.mqttTopic, clientId: command?.clientId };
    this.#write({ ...record, topic: this.topic, partition, ...whose, obstacle }, () => this.#ended(inFlight));
  }

  /** A command that was stored will not reach its device after all. `forget` is called once Kafka has it. */
  abandoned(message: SessionMessage, place: CommandPlace, reason: AbandonReason, forget: () => void): void {
    const { topic: mqttTopic, clientId, payload } = message;
    const record = { key: Buffer.from(place.device, 'utf8'), value: payload, headers: [] };
    this.#write({ ...place, ...record, mqttTopic, clientId, obstacle: OBSTACLES[reason] }, forget);
  }

  #write(command: UndeliveredCommand, done: () => void): void {
    const { code, message } = command.obstacle;
    const undelivered = this.#settings.undeliveredTopic;
    this.#options.undelivered.write(undelivered, command, () => {
      this.stats.countUndelivered(code);
      done();
    });
    const now = this.#options.clock.monotonicMs();
    const last = this.#logged.get(code);
    if (last !== undefined && now - last < LOG_EVERY_MS) return;
    this.#logged.set(code, now);
    const { topic, partition, offset, clientId } = command;
    const where = { topic, partition, offset: String(offset), client: clientId };
    const text = 'command not delivered; further ones for this reason are counted for a minute';
    this.#options.logger.warn({ ...where, code, reason: message, undelivered }, text);
  }

  #ended(inFlight: InFlight): void {
    const { partition, record, device, bytes } = inFlight;
    inFlight.waits = false;
    this.#waiting.delete(inFlight);
    this.stats.inFlight--;
    this.stats.inFlightBytes -= bytes;
    if (device !== undefined) {
      const others = (this.#perDevice.get(device) ?? 1) - 1;
      if (others === 0) this.#perDevice.delete(device);
      else this.#perDevice.set(device, others);
    }
    this.#windowOf(partition).complete(record.offset, inFlight);
    this.#resumeHeld();
  }

  /** With half of the room free, so that a fetch is worth its while. */
  #resumeHeld(): void {
    if (this.#held.size === 0 || this.#isStopped) return;
    const { maxInFlight, maxInFlightBytes } = this.#settings;
    if (this.stats.inFlight > 0 && this.stats.inFlightBytes > maxInFlightBytes / 2) return;
    for (const partition of this.#held) {
      if (this.#windowOf(partition).size > maxInFlight / 2) continue;
      this.#held.delete(partition);
      this.#options.source.resume(partition);
    }
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#options.clock.schedule(() => {
      this.#scheduleTick();
      this.#giveUpLate();
      this.#committing ??= this.#commitOnce().finally(() => {
        this.#committing = undefined;
      });
    }, TICK_MS);
  }

  #giveUpLate(): void {
    const now = this.#options.clock.monotonicMs();
    for (const inFlight of this.#waiting) {
      if (inFlight.deadlineMs > now) return;
      const command = readCommand(inFlight.record, inFlight.partition, this.#settings);
      this.#undeliver(inFlight, isObstacle(command) ? undefined : command, LATE);
    }
  }

  async #commitOnce(): Promise<void> {
    const offsets = new Map<number, bigint>();
    for (const [partition, window] of this.#windows) {
      const position = window.committable;
      if (position !== undefined) offsets.set(partition, position);
    }
    if (offsets.size === 0 || !(await this.#options.source.commit(offsets))) return;
    for (const [partition, position] of offsets) this.#windowOf(partition).committed(position);
  }

  #windowOf(partition: number): OffsetWindow {
    let window = this.#windows.get(partition);
    if (window === undefined) this.#windows.set(partition, (window = new OffsetWindow()));
    return window;
  }
}

const OBSTACLES: Readonly<Record<Exclude<SessionOutcome, 'delivered' | 'stored'>, Obstacle>> = {
  'queue-full': { code: 'QUEUE_FULL', message: "the queue of the device's session is full" },
  expired: { code: 'EXPIRED', message: 'the command expired before the device had it' },
  'no-session': { code: 'NO_SESSION', message: 'the device is not connected and has left no session' },
  'not-subscribed': {
    code: 'NOT_SUBSCRIBED',
    message: "no subscription of the device's session with QoS 1 or 2 matches the topic",
  },
};

const FULL_SHARE: Obstacle = {
  code: 'QUEUE_FULL',
  message: 'too many commands of the device wait for their PUBACK (max.in.flight.per.device)',
};

const LATE: Obstacle = {
  code: 'NOT_ACKNOWLEDGED',
  message: 'no PUBACK within ack.timeout.ms: the device may have it, or get it yet',
};
