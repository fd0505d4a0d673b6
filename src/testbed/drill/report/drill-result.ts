import type { LatencyPercentiles } from '../../../core/latency.ts';
import type { DeliveryVerdict } from '../delivery-judge.ts';
import type { LatencyBin, Moments, Phase, Repeats } from './figures.ts';
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

function named({
  count,
  examples,
}: {
  readonly count: number;
  readonly examples: readonly string[];
}): string {
  const shown = examples.slice(0, 3).join(', ');
  return `${count} (${shown}${count > 3 ? ', …' : ''})`;
}
