import { Latency } from '../../../core/latency.ts';
import type { LatencyPercentiles } from '../../../core/latency.ts';
import type { DeliveryJudge, DeliveryVerdict, Tally } from '../delivery-judge.ts';
import type { DeviceHistory } from '../fleet-history.ts';
import type { ScenarioName } from '../scenarios.ts';

/** What a drill was told to do. */
export interface DrillSetting {
  readonly contract: string;
  readonly devices: number;
  /** Messages a second, all devices together. */
  readonly rate: number;
  /** How long the fault lasts. */
  readonly faultMs: number;
  /** Waits so long after the fault for what is missing. */
  readonly drainTimeoutMs: number;
  /** Whether the gateway keeps acknowledged records on its own disk until Kafka has them. */
  readonly usesJournal: boolean;
  /** How often the journal makes durable what Kafka has; what it has taken since may come twice after a kill. */
  readonly checkpointMs: number;
  /** A journal of this size, so that it fills; undefined: as large as configured. */
  readonly journalBytes: number | undefined;
  /** What each message is made longer by. */
  readonly paddingBytes: number;
}

export interface DrillEvent {
  readonly atMs: number;
  readonly text: string;
}

/** How things stood at a moment. */
export interface DrillSample {
  readonly atMs: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly connected: number;
  /** Records in the topic; undefined where it could not be asked. */
  readonly inKafka: number | undefined;
  /** Of the gateway's process; undefined while there is none, and where the system doesn't say. */
  readonly residentBytes: number | undefined;
}

/** All that a drill found out. Times are monotonic milliseconds with `startMs` as their origin. */
export interface DrillResult {
  readonly scenario: ScenarioName;
  readonly title: string;
  readonly expectation: string;
  readonly setting: DrillSetting;
  readonly startMs: number;
  readonly moments: Moments;
  readonly events: readonly DrillEvent[];
  readonly samples: readonly DrillSample[];
  readonly sent: number;
  readonly acknowledged: number;
  /** Sent or to be sent, and not acknowledged when the fault ended. */
  readonly heldBack: number;
  /** Devices that the gateway would not let in. */
  readonly refused: number;
  readonly lostConnections: number;
  readonly verdict: DeliveryVerdict;
  readonly repeats: Repeats;
  readonly deadLetters: number;
  readonly puback: Readonly<Record<Phase, LatencyPercentiles>>;
  readonly bins: readonly LatencyBin[];
  readonly binWidthMs: number;
  /** The gateway's exit status or signal at the end; 0 is a clean stop. */
  readonly gatewayExit: number | string;
}

/** Why the drill is not passed, a sentence each; none: it is. */
export function faultsOf(result: DrillResult): string[] {
  const { verdict, repeats, setting, sent, acknowledged, moments } = result;
  const open = sent - acknowledged;
  const waitS = Math.round(setting.drainTimeoutMs / 1000);
  const faults: [boolean, string][] = [
    [verdict.lost.count > 0, `${named(verdict.lost)} acknowledged to the device and not in Kafka`],
    [verdict.disordered.count > 0, `${named(verdict.disordered)} behind a later message of the same device`],
    [
      verdict.scattered.count > 0,
      `${named(verdict.scattered)}: devices whose records are in several partitions`,
    ],
    [verdict.invented.count > 0, `${named(verdict.invented)} in Kafka and never sent`],
    [
      repeats.unexplained.count > 0,
      `${named(repeats.unexplained)} in Kafka more often than any device or journal had to send it`,
    ],
    [result.deadLetters > 0, `dead letters: ${result.deadLetters}`],
    [result.refused > 0, `devices that were not let in: ${result.refused}`],
    [open > 0, `messages that were never acknowledged: ${open}`],
    [
      moments.drainedMs === undefined,
      `what was sent before the end of the fault was not through after ${waitS} s`,
    ],
    [
      setting.journalBytes !== undefined && result.heldBack === 0,
      'the journal did not fill, and nothing was tried: more --seconds, or a higher --rate',
    ],
    [result.gatewayExit !== 0, `the gateway did not stop cleanly: ${result.gatewayExit}`],
  ];
  return faults.flatMap(([isSo, text]) => (isSo ? [text] : []));
}

function named({ count, examples }: Tally): string {
  const shown = examples.slice(0, 3).join(', ');
  return `${count} (${shown}${count > 3 ? ', …' : ''})`;
}

/** The turning points of a drill, monotonic milliseconds. */
export interface Moments {
  /** The first seconds, in which everything warms up, are over. */
  readonly steadyMs: number;
  readonly faultMs: number;
  readonly healedMs: number;
  /** What was sent before the fault was over is through; undefined: it never was. */
  readonly drainedMs: number | undefined;
  readonly endMs: number;
}

export const PHASES = ['before', 'during', 'after'] as const;
export type Phase = (typeof PHASES)[number];

type Devices = ReadonlyMap<string, DeviceHistory>;

/**
 * PUBLISH to PUBACK. `before`: acknowledged before the fault began; `after`: sent after it was overcome;
 * `during`: everything that was on its way at some moment in between.
 */
export function pubackTimes(devices: Devices, moments: Moments): Readonly<Record<Phase, LatencyPercentiles>> {
  const phases = { before: new Latency(), during: new Latency(), after: new Latency() };
  for (const { sentAtMs, acknowledgedAtMs } of devices.values()) {
    for (const [index, sentMs] of sentAtMs.entries()) {
      const acknowledgedMs = acknowledgedAtMs[index] as number;
      if (sentMs < moments.steadyMs || acknowledgedMs === Infinity) continue;
      phases[phaseOf(sentMs, acknowledgedMs, moments)].record(acknowledgedMs - sentMs, acknowledgedMs);
    }
  }
  return {
    before: phases.before.overall(),
    during: phases.during.overall(),
    after: phases.after.overall(),
  };
}

function phaseOf(sentMs: number, acknowledgedMs: number, { faultMs, drainedMs }: Moments): Phase {
  if (acknowledgedMs < faultMs) return 'before';
  return drainedMs !== undefined && sentMs >= drainedMs ? 'after' : 'during';
}

/** PUBLISH to PUBACK of what was acknowledged in a stretch of time. */
export interface LatencyBin {
  /** The middle of the stretch, monotonic milliseconds. */
  readonly atMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One bin for each stretch of `widthMs` in which anything was acknowledged, by the time of the PUBACK. */
export function latencyBins(devices: Devices, startMs: number, widthMs: number): LatencyBin[] {
  const durations: number[][] = [];
  for (const { sentAtMs, acknowledgedAtMs } of devices.values()) {
    for (const [index, acknowledgedMs] of acknowledgedAtMs.entries()) {
      if (acknowledgedMs === Infinity) continue;
      const bin = (durations[Math.floor((acknowledgedMs - startMs) / widthMs)] ??= []);
      bin.push(acknowledgedMs - (sentAtMs[index] as number));
    }
  }
  const bins: LatencyBin[] = [];
  // forEach, because it passes over the bins without anything.
  durations.forEach((bin, index) => {
    bin.sort((a, b) => a - b);
    const at = (share: number): number => bin[Math.ceil(share * bin.length) - 1] as number;
    bins.push({ atMs: startMs + (index + 0.5) * widthMs, p50Ms: at(0.5), p99Ms: at(0.99) });
  });
  return bins;
}

/** Copies of messages beyond the first, by what they come from. */
export interface Repeats {
  /** Sent again by their devices, because a connection broke before the PUBACK. */
  readonly resent: number;
  /** Read again from the journal after a kill. */
  readonly replayed: number;
  /** The most that may be: see {@link replayBound}. */
  readonly replayBound: number;
  /** Copies that nothing explains. */
  readonly unexplained: Tally;
}

const EXAMPLES = 20;

/**
 * Tells the copies that MQTT's QoS 1 and the contract allow from those that are somebody's mistake.
 * @param breaksAtMs when connections of devices were broken, or the gateway killed
 */
export function explainRepeats(
  judge: DeliveryJudge,
  devices: Devices,
  breaksAtMs: readonly number[],
  bound: number,
): Repeats {
  let resent = 0;
  let rest = 0;
  const examples: string[] = [];
  for (const [device, history] of devices) {
    for (let sequence = 1; sequence <= history.sentAtMs.length; sequence++) {
      const extra = judge.copies(device, sequence) - 1;
      if (extra <= 0) continue;
      const allowed = Math.min(extra, timesSentAgain(history, sequence - 1, breaksAtMs));
      resent += allowed;
      rest += extra - allowed;
      if (allowed < extra && examples.length < EXAMPLES) examples.push(`${device}#${sequence}`);
    }
  }
  const replayed = Math.min(rest, bound);
  const count = rest - replayed;
  const unexplained = { count, examples: count > 0 ? examples : [] };
  return { resent, replayed, replayBound: bound, unexplained };
}

/**
 * How often a device may have sent its message again: once for each time that its connection broke with the message on
 * its way.
 * @param index of the message in the history
 */
export function timesSentAgain(
  { sentAtMs, acknowledgedAtMs, lostAtMs }: DeviceHistory,
  index: number,
  breaksAtMs: readonly number[],
): number {
  const sentMs = sentAtMs[index] as number;
  const acknowledgedMs = acknowledgedAtMs[index] as number;
  const within = (times: readonly number[]): number =>
    times.filter((atMs) => sentMs <= atMs && atMs <= acknowledgedMs).length;
  // A connection that breaks before it is fully up again is not told of: then the break itself counts.
  return Math.max(within(lostAtMs), within(breaksAtMs));
}

/** How many records Kafka had at a moment. */
export interface RecordCount {
  readonly atMs: number;
  /** undefined where it could not be asked. */
  readonly inKafka: number | undefined;
}

/** From Kafka's append to the journal's note of it, at most, when all is well. */
const ANSWER_MS = 1_000;

/**
 * The most records that the journal may bring to Kafka once more after these kills: what Kafka had taken before
 * each of them and the checkpoint did not know yet.
 */
export function replayBound(
  counts: readonly RecordCount[],
  killsAtMs: readonly number[],
  checkpointMs: number,
): number {
  const known = counts.filter(
    (each): each is { atMs: number; inKafka: number } => each.inKafka !== undefined,
  );
  let bound = 0;
  for (const killMs of killsAtMs) {
    const since = known.findLast(({ atMs }) => atMs <= killMs - checkpointMs - ANSWER_MS)?.inKafka ?? 0;
    const until = (known.find(({ atMs }) => atMs >= killMs) ?? known.at(-1))?.inKafka ?? 0;
    bound += Math.max(0, until - since);
  }
  return bound;
}
