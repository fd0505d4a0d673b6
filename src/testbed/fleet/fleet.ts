import type { Cancel, Clock } from '../../core/clock.ts';
import { errorMessage } from '../../core/errors.ts';
import { Latency, type LatencyPercentiles } from '../../core/latency.ts';
import type { Logger } from '../../core/logger.ts';
import type { QoS } from '../../core/publication.ts';
import { FleetError, SimulatedDevice, unfit, type SimulatedType } from './device.ts';
import type { FleetSnapshot, FleetSummary } from './fleet-report.ts';
import { Member, type FleetObserver } from './member.ts';
import { openMqttLink, type LinkOptions, type OpenLink } from './mqtt-link.ts';
import { Pacer } from './pacer.ts';
import { Random } from './random.ts';

export interface FleetOptions {
  /** The MQTT listener, e.g. `mqtt://127.0.0.1:1883`; user and password as in any URL. */
  readonly url: string;
  /** How many devices, spread evenly over `types`. */
  readonly devices: number;
  /** Messages a second of all devices together; 0: as fast as the windows allow. */
  readonly rate: number;
  readonly qos: QoS;
  /** Ends after so many messages of all devices together; each sends its even share. */
  readonly count?: number | undefined;
  /** Ends after so many milliseconds of publishing. */
  readonly durationMs?: number | undefined;
  /** The same seed gives the same devices with the same readings. */
  readonly seed: number;
  readonly types: readonly SimulatedType[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Most messages of one device that are not yet acknowledged; 20. */
  readonly window?: number;
  /** Most messages that a device keeps in its own memory until its window has room; as many as the window. */
  readonly backlog?: number;
  /** Put before every device's name, so that two fleets are different devices. */
  readonly prefix?: string;
  /** How long the end of `count` or `durationMs` waits for acknowledgements that are missing; 60 s. */
  readonly drainTimeoutMs?: number;
  readonly observer?: FleetObserver;
  /** How long a device may be silent before its connection counts as broken, at either end; 60 s. */
  readonly keepaliveSeconds?: number | undefined;
  /** The `mqtt` package by default. */
  readonly openLink?: OpenLink;
}

const DEFAULT_WINDOW = 20;
const DEFAULT_DRAIN_TIMEOUT_MS = 60_000;
const STOP_DRAIN_TIMEOUT_MS = 10_000;
/** Pacing is decided this often at high rates: finer than a person or a histogram of turns could tell. */
const TICK_MS = 4;
/** Without a rate, the tick only looks whether everything is sent. */
const UNPACED_TICK_MS = 20;
/** Rare turns and long durations: a timer of more than 24.8 days would go off at once. */
const LONGEST_TICK_MS = 60_000;
/** Connections being opened at the same time: more would only overflow the listener's backlog. */
const CONNECTING_AT_ONCE = 64;
/** The first turn waits until every device is connected, or for so long once the first one is. */
const CONNECT_PATIENCE_MS = 5_000;
const DISCONNECT_TIMEOUT_MS = 2_000;

/** Simulated devices that publish believable telemetry, and the account of what became of it. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #clock: Clock;
  readonly #members: readonly Member[];
  readonly #latency = new Latency();
  readonly #ended = Promise.withResolvers<FleetSummary>();
  readonly #refusals = new Map<string, number>();
  #phase: FleetSnapshot['phase'] = 'connecting';
  #started = false;
  #pacer: Pacer | undefined;
  #timer: Cancel | undefined;
  #patience: Cancel | undefined;
  #nextToOpen = 0;
  #nextTurn = 0;
  #opening = 0;
  #up = 0;
  #givenUp = 0;
  #publishingSinceMs = 0;
  #publishingMs = 0;
  #missed = 0;
  #trouble: string | undefined;

  /** @throws {FleetError} when a type can't be simulated: no `simulate:` section, or readings that don't encode. */
  constructor(options: FleetOptions) {
    if (options.types.length === 0) throw new FleetError('FLEET_EMPTY', 'no device type to simulate');
    if (options.devices < 1) throw new FleetError('FLEET_EMPTY', 'a fleet needs at least one device');
    this.#options = options;
    this.#clock = options.clock;
    for (const type of options.types) tryOut(type, options.seed, options.clock.wallMs());
    this.#members = Array.from({ length: options.devices }, (_, index) => this.#member(index));
    // A promise that nobody has asked for yet must not count as an unhandled rejection.
    this.#ended.promise.catch(() => undefined);
  }

  /** Begins to connect, and to publish once the devices are connected. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    for (const member of this.#members) {
      this.#options.observer?.joined?.(member.device.id, member.device.type, member.device.topic);
    }
    this.#openMore();
  }

  /** Resolves when `count` or `durationMs` is reached and settled, or after `stop`. */
  done(): Promise<FleetSummary> {
    return this.#ended.promise;
  }

  /** Publishes no more, waits up to `drainTimeoutMs` for missing acknowledgements, disconnects. */
  stop(drainTimeoutMs: number = STOP_DRAIN_TIMEOUT_MS): Promise<FleetSummary> {
    if (this.#phase === 'connecting' || this.#phase === 'publishing') this.#drain(drainTimeoutMs);
    else if (this.#phase === 'draining') this.#endBy(drainTimeoutMs);
    return this.#ended.promise;
  }

  snapshot(): FleetSnapshot {
    const publishing = this.#phase === 'publishing';
    return {
      phase: this.#phase,
      publishingMs: publishing ? this.#clock.monotonicMs() - this.#publishingSinceMs : this.#publishingMs,
      devices: this.#members.length,
      ...totals(this.#members),
      missed: this.#missed,
      latency: this.#latency.overall(),
      trouble: this.#trouble,
    };
  }

  /** PUBLISH to PUBACK over the last five to ten seconds. */
  recentLatency(): LatencyPercentiles {
    return this.#latency.recent(this.#clock.monotonicMs());
  }

  #member(index: number): Member {
    const { types, devices, count, seed, prefix = '', qos } = this.#options;
    const { window = DEFAULT_WINDOW, backlog = window, observer = {} } = this.#options;
    const type = types[index % types.length] as SimulatedType;
    const device = new SimulatedDevice(type, Math.floor(index / types.length) + 1, { seed, prefix });
    const quota = count === undefined ? Infinity : Math.floor((count + devices - 1 - index) / devices);
    return new Member({
      device,
      quota,
      window,
      backlog,
      countsAcknowledgements: qos > 0,
      clock: this.#clock,
      observer,
      latency: this.#latency,
      settled: this.#settled,
      failed: this.#fail,
    });
  }

  #openMore(): void {
    while (this.#opening < CONNECTING_AT_ONCE && this.#nextToOpen < this.#members.length) {
      this.#opening++;
      this.#open(this.#members[this.#nextToOpen++] as Member);
    }
  }

  #open(member: Member): void {
    const { url, qos, seed, keepaliveSeconds, openLink = openMqttLink } = this.#options;
    let opened = false;
    const firstAnswer = (): void => {
      if (opened) return;
      opened = true;
      this.#opening--;
      if (this.#phase === 'connecting' || this.#phase === 'publishing') this.#openMore();
    };
    // Devices that lost one gateway together must not come back to it in one instant.
    const reconnectMs = 500 + 1000 * new Random(seed, `reconnect/${member.device.id}`).uniform();
    const options = { url, clientId: member.device.id, qos, reconnectMs, keepaliveSeconds };
    member.link = openLink(
      { ...options, ...this.#sessionOptions(member.device) },
      {
        up: () => {
          firstAnswer();
          this.#up++;
          member.up();
          this.#begin();
        },
        down: () => {
          this.#up--;
          member.down();
          this.#options.observer?.connectionLost?.(member.device.id);
        },
        command: (payload) => member.command(payload),
        refused: (reason) => {
          firstAnswer();
          this.#refused(member, reason);
        },
        trouble: (message) => {
          this.#trouble = message;
          this.#options.logger.debug({ device: member.device.id, reason: message }, 'connection failed');
        },
      },
    );
  }

  #sessionOptions({ session }: SimulatedDevice): Pick<LinkOptions, 'commands' | 'will'> {
    if (session === undefined) return {};
    return { commands: session.commands, will: () => session.will(this.#clock.wallMs()) };
  }

  #refused(member: Member, reason: string): void {
    this.#givenUp++;
    member.refuse();
    this.#trouble = reason;
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
    this.#options.logger.warn({ device: member.device.id, reason }, 'device refused');
    if (this.#givenUp === this.#members.length) this.#drain(0);
    else this.#begin();
  }

  /** Publishing begins when all devices are connected; the first one waits only so long for the last. */
  #begin(): void {
    if (this.#phase !== 'connecting' || this.#up === 0) return;
    if (this.#up + this.#givenUp === this.#members.length) this.#publish();
    else {
      this.#patience ??= this.#clock.schedule(this.#publish, CONNECT_PATIENCE_MS);
    }
  }

  readonly #publish = (): void => {
    if (this.#phase !== 'connecting') return;
    this.#patience?.();
    this.#phase = 'publishing';
    this.#publishingSinceMs = this.#clock.monotonicMs();
    if (this.#options.rate > 0) this.#pacer = new Pacer(this.#options.rate, this.#publishingSinceMs);
    else for (const member of this.#members) member.takeAllTurns();
    this.#tick();
  };

  readonly #tick = (): void => {
    this.#timer = undefined;
    if (this.#phase !== 'publishing') return;
    const nowMs = this.#clock.monotonicMs();
    const { durationMs = Infinity, drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS } = this.#options;
    const endMs = this.#publishingSinceMs + durationMs;
    const pacer = this.#pacer;
    if (pacer !== undefined) {
      const { due, over } = pacer.take(Math.min(nowMs, endMs));
      this.#missed += over;
      for (let turn = 0; turn < due; turn++) this.#giveTurn();
    }
    if (nowMs >= endMs || this.#members.every((member) => member.isFinished)) {
      this.#drain(drainTimeoutMs);
      return;
    }
    const untilTurnMs = pacer?.untilNextMs(nowMs) ?? Infinity;
    const delayMs = Math.min(
      Math.max(TICK_MS, untilTurnMs),
      endMs - nowMs,
      pacer === undefined ? UNPACED_TICK_MS : LONGEST_TICK_MS,
    );
    this.#timer = this.#clock.schedule(this.#tick, delayMs);
  };

  /** The next device in turn publishes; one that stays silent or has sent its share passes its turn on. */
  #giveTurn(): void {
    const members = this.#members;
    for (let left = members.length; left > 0; left--) {
      const member = members[this.#nextTurn] as Member;
      this.#nextTurn = (this.#nextTurn + 1) % members.length;
      if (member.hasSentItsShare || member.device.skipsTurn()) continue;
      if (!member.takeTurn()) this.#missed++;
      return;
    }
  }

  #drain(timeoutMs: number): void {
    const published = this.#phase === 'publishing';
    this.#publishingMs = published ? this.#clock.monotonicMs() - this.#publishingSinceMs : 0;
    this.#phase = 'draining';
    this.#patience?.();
    for (const member of this.#members) member.stopPublishing();
    this.#endBy(timeoutMs);
    this.#settled();
  }

  #endBy(timeoutMs: number): void {
    this.#timer?.();
    this.#timer = this.#clock.schedule(this.#end, timeoutMs);
  }

  readonly #settled = (): void => {
    if (this.#phase === 'draining' && this.#members.every((member) => member.inFlight === 0)) this.#end();
  };

  readonly #fail = (error: unknown): void => {
    this.#ended.reject(error);
    this.#end();
  };

  readonly #end = (): void => {
    if (this.#phase === 'ended') return;
    this.#timer?.();
    const summary = this.#summary();
    this.#phase = 'ended';
    void Promise.all(this.#members.map((member) => member.disconnect(DISCONNECT_TIMEOUT_MS)))
      .catch((error: unknown) =>
        this.#options.logger.warn({ reason: errorMessage(error) }, 'a device could not disconnect'),
      )
      .then(() => this.#ended.resolve({ ...summary, phase: 'ended' }));
  };

  #summary(): FleetSummary {
    const snapshot = this.snapshot();
    const { qos, count } = this.#options;
    const unacknowledged = qos === 0 ? 0 : snapshot.sent - snapshot.acknowledged;
    const unsent = count === undefined ? 0 : count - snapshot.sent;
    const complete = unacknowledged === 0 && unsent === 0 && snapshot.refused === 0;
    return { ...snapshot, unacknowledged, unsent, refusals: this.#refusals, complete };
  }
}

/** Encodes one reading of a throw-away device: a mapping that can't work shows before anything is opened. */
function tryOut(type: SimulatedType, seed: number, nowMs: number): void {
  const device = new SimulatedDevice(type, 1, { seed, prefix: '' });
  try {
    device.read(1, nowMs);
  } catch (error) {
    const { file, type: name } = type.profile;
    const problem = `the simulated readings of ${name} can't be encoded: ${errorMessage(error)}`;
    throw unfit(`${file}: ${problem}`, { cause: error });
  }
}

/** What the devices did, added up. */
function totals(members: readonly Member[]) {
  const total = { sent: 0, acknowledged: 0, inFlight: 0, waiting: 0, lostConnections: 0 };
  const counts = Object.keys(total) as (keyof typeof total)[];
  for (const member of members) for (const count of counts) total[count] += member[count];
  return {
    connected: members.filter(({ isUp }) => isUp).length,
    refused: members.filter(({ isRefused }) => isRefused).length,
    ...total,
  };
}
