import { pause, type Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { DeliveryJudge, type DeliveredRecord, type DeviceAccount } from './delivery-judge.ts';
import { FleetHistory, type DeviceHistory } from './fleet-history.ts';
import type { DrillEvent, DrillResult, DrillSample, DrillSetting } from './report/drill-result.ts';
import { explainRepeats, latencyBins, pubackTimes, replayBound } from './report/drill-result.ts';
import type { Scenario, Stage } from './scenarios.ts';

/** A drill that could not be carried out, which says nothing about the gateway's promises. Codes begin with `DRILL_`. */
export class DrillError extends SluiceError {}

/** The devices of a drill, while they publish. */
export interface DrillFleet {
  snapshot(): {
    readonly connected: number;
    readonly refused: number;
    /** Messages that devices still keep in their own memory. */
    readonly waiting: number;
    readonly trouble: string | undefined;
  };
  /** Publishes no more, waits for what is not acknowledged, disconnects. */
  stop(drainTimeoutMs: number): Promise<unknown>;
}

/** Everything that a drill has of the world, all of it its own: nobody else's topic, port or process. */
export interface DrillSite {
  readonly kafkaWire: Stage['kafkaWire'];
  readonly deviceWire: Stage['deviceWire'];
  /** Resolves when it accepts devices. */
  startGateway(): Promise<void>;
  killGateway(): Promise<void>;
  /** A clean stop; resolves with the exit status or signal. */
  stopGateway(): Promise<number | string>;
  /** undefined where it can't be told. */
  residentBytes(): number | undefined;
  /** Devices that publish until they are stopped, and tell `history`. */
  startFleet(history: FleetHistory): DrillFleet;
  /** How many records the topic has, asked of Kafka itself and not by way of the wire. */
  recordsInKafka(): Promise<number | undefined>;
  /** Every record of the topic, each partition in order; resolves with the number of dead letters. */
  readBack(take: (record: DeliveredRecord) => void): Promise<number>;
  /** Aborted when the drill can't go on: interrupted by a person, or the gateway ended by itself. */
  readonly signal: AbortSignal;
}

export interface DrillOptions {
  readonly scenario: Scenario;
  readonly setting: DrillSetting;
  readonly clock: Clock;
  /** What happens, as it happens. */
  readonly onEvent: (text: string) => void;
  readonly onSample?: (sample: DrillSample) => void;
}

/** Both sides start cold: what the first moments show is that. */
const WARM_UP_MS = 1_000;
/** How long normal times are measured, before and after. */
const LEAST_CALM_MS = 2_000;
const MOST_CALM_MS = 10_000;
const FIRST_ACKNOWLEDGEMENT_MS = 60_000;
const SAMPLE_EVERY_MS = 500;
const QUIET_SAMPLES = 4;
const LOOK_EVERY_MS = 50;
const MOST_BINS = 120;
const LEAST_BIN_MS = 500;

/** One scenario from the first message to the verdict. */
export class Drill {
  readonly #site: DrillSite;
  readonly #options: DrillOptions;
  readonly #history: FleetHistory;
  readonly #events: DrillEvent[] = [];
  readonly #samples: DrillSample[] = [];
  readonly #killsAtMs: number[] = [];
  readonly #breaksAtMs: number[] = [];
  #isSampling = true;
  /** The fault lasts, and no device has had to wait for it yet. */
  #isBroken = false;

  constructor(site: DrillSite, options: DrillOptions) {
    this.#site = site;
    this.#options = options;
    this.#history = new FleetHistory(options.clock);
  }

  /** @throws {DrillError} when it could not be carried out, SluiceError of whatever it needs */
  async run(): Promise<DrillResult> {
    const { scenario, setting } = this.#options;
    await this.#site.startGateway();
    const fleet = this.#site.startFleet(this.#history);
    const startMs = this.#nowMs();
    const sampling = this.#sample(fleet);
    try {
      await this.#untilTraffic(fleet);
      this.#note('devices publish, and are acknowledged');
      await this.#pause(WARM_UP_MS);
      const steadyMs = this.#nowMs();
      const calmMs = Math.min(MOST_CALM_MS, Math.max(LEAST_CALM_MS, setting.faultMs / 3));
      await this.#pause(calmMs);

      const faultMs = this.#nowMs();
      this.#isBroken = true;
      await scenario.fault(this.#stage());
      this.#isBroken = false;
      const healedMs = this.#nowMs();
      const { waiting: heldBack } = fleet.snapshot();
      const drainedMs = await this.#drained(fleet, healedMs);
      this.#note(drainedMs === undefined ? 'gave up waiting' : 'all that was sent before is through');
      if (drainedMs !== undefined) await this.#pause(calmMs);
      const endMs = this.#nowMs();
      const { refused } = fleet.snapshot();
      await fleet.stop(setting.drainTimeoutMs);
      await this.#until(() => this.#isKafkaQuiet(), setting.drainTimeoutMs);
      const gatewayExit = await this.#site.stopGateway();
      const moments = { steadyMs, faultMs, healedMs, drainedMs, endMs };
      return await this.#judge({ startMs, moments, heldBack, refused, gatewayExit });
    } finally {
      this.#isSampling = false;
      await sampling;
      await fleet.stop(0);
    }
  }

  async #untilTraffic(fleet: DrillFleet): Promise<void> {
    const began = await this.#until(() => this.#history.acknowledged > 0, FIRST_ACKNOWLEDGEMENT_MS);
    if (began) return;
    const { connected, trouble } = fleet.snapshot();
    const reason = trouble === undefined ? '' : `: ${trouble}`;
    throw new DrillError(
      'DRILL_NO_TRAFFIC',
      `No message was acknowledged within ${FIRST_ACKNOWLEDGEMENT_MS / 1000} s (${connected} devices connected${reason}), ` +
        'before anything was broken: see to Kafka and the configuration first',
    );
  }

  #stage(): Stage {
    const { kafkaWire, deviceWire } = this.#site;
    return {
      faultMs: this.#options.setting.faultMs,
      kafkaWire,
      deviceWire: {
        setState: (state) => deviceWire.setState(state),
        resetAll: () => {
          this.#breaksAtMs.push(this.#nowMs());
          deviceWire.resetAll();
        },
      },
      killGateway: async () => {
        this.#breaksAtMs.push(this.#nowMs());
        this.#killsAtMs.push(this.#nowMs());
        await this.#site.killGateway();
      },
      startGateway: () => this.#site.startGateway(),
      pause: (delayMs) => this.#pause(delayMs),
      note: (text) => this.#note(text),
    };
  }

  /**
   * When everything that was sent before `healedMs` is acknowledged and in Kafka, and as much besides as devices
   * had kept back until then; undefined: not in time.
   */
  async #drained(fleet: DrillFleet, healedMs: number): Promise<number | undefined> {
    const { usesJournal, drainTimeoutMs } = this.#options.setting;
    const history = this.#history;
    const due = history.sent + fleet.snapshot().waiting;
    const deadlineMs = healedMs + drainTimeoutMs;
    const isSettled = await this.#until(
      () => history.acknowledged >= due && history.isSettled(healedMs),
      deadlineMs - this.#nowMs(),
    );
    if (!isSettled) return undefined;
    if (!usesJournal) return this.#nowMs();
    const isThere = await this.#until(() => this.#inKafka() >= due, deadlineMs - this.#nowMs());
    return isThere ? this.#nowMs() : undefined;
  }

  async #judge(
    course: Pick<DrillResult, 'startMs' | 'moments' | 'heldBack' | 'refused' | 'gatewayExit'>,
  ): Promise<DrillResult> {
    const { startMs, moments } = course;
    const { scenario, setting } = this.#options;
    const { devices, sent, acknowledged } = this.#history;
    this.#options.onEvent('reading Kafka back');
    const judge = new DeliveryJudge(new Map([...devices].map(([id, history]) => [id, accountOf(history)])));
    const deadLetters = await this.#site.readBack((record) => judge.take(record));
    const widthMs = Math.max(LEAST_BIN_MS, (moments.endMs - startMs) / MOST_BINS);
    return {
      scenario: scenario.name,
      title: scenario.title,
      expectation: scenario.expectation,
      setting,
      ...course,
      events: this.#events,
      samples: this.#samples,
      sent,
      acknowledged,
      // Their own DISCONNECT at the end is no loss.
      lostConnections: [...devices.values()]
        .flatMap(({ lostAtMs }) => lostAtMs)
        .filter((atMs) => atMs < moments.endMs).length,
      verdict: judge.verdict(),
      repeats: explainRepeats(judge, devices, this.#breaksAtMs, this.#replayBound()),
      deadLetters,
      puback: pubackTimes(devices, moments),
      bins: latencyBins(devices, startMs, widthMs),
      binWidthMs: widthMs,
    };
  }

  #replayBound(): number {
    const { usesJournal, checkpointMs } = this.#options.setting;
    return usesJournal ? replayBound(this.#samples, this.#killsAtMs, checkpointMs) : 0;
  }

  /** Looks again and again how things stand, until told to end. Never rejects. */
  async #sample(fleet: DrillFleet): Promise<void> {
    while (this.#isSampling && !this.#site.signal.aborted) {
      const inKafka = await this.#site.recordsInKafka().catch(() => undefined);
      const { connected, waiting } = fleet.snapshot();
      if (this.#isBroken && waiting > 0) {
        this.#isBroken = false;
        this.#note('devices have to wait: from here on they keep what they measure in their own memory');
      }
      const sample = {
        atMs: this.#nowMs(),
        sent: this.#history.sent,
        acknowledged: this.#history.acknowledged,
        connected,
        inKafka,
        residentBytes: this.#site.residentBytes(),
      };
      this.#samples.push(sample);
      this.#options.onSample?.(sample);
      await pause(this.#options.clock, SAMPLE_EVERY_MS, this.#site.signal);
    }
  }

  /**
   * Kafka has as many records as were acknowledged, and for a while no more have come: copies count as well, so
   * that the number alone would not say that a journal has been emptied.
   */
  #isKafkaQuiet(): boolean {
    const latest = this.#samples.slice(-QUIET_SAMPLES).map(({ inKafka }) => inKafka ?? -1);
    return new Set(latest).size === 1 && (latest[0] ?? -1) >= this.#history.acknowledged;
  }

  /** By the latest sample. */
  #inKafka(): number {
    return this.#samples.findLast(({ inKafka }) => inKafka !== undefined)?.inKafka ?? 0;
  }

  async #until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const deadlineMs = this.#nowMs() + timeoutMs;
    while (!condition()) {
      if (this.#nowMs() >= deadlineMs) return false;
      await this.#pause(LOOK_EVERY_MS);
    }
    return true;
  }

  async #pause(delayMs: number): Promise<void> {
    const { signal } = this.#site;
    await pause(this.#options.clock, delayMs, signal);
    signal.throwIfAborted();
  }

  #note(text: string): void {
    this.#events.push({ atMs: this.#nowMs(), text });
    this.#options.onEvent(text);
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}

function accountOf({ sentAtMs, acknowledgedAtMs }: DeviceHistory): DeviceAccount {
  return {
    sent: sentAtMs.length,
    acknowledged: {
      *[Symbol.iterator]() {
        for (const [index, atMs] of acknowledgedAtMs.entries()) if (atMs < Infinity) yield index + 1;
      },
    },
  };
}
