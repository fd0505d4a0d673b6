import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { systemClock } from '../../src/core/clock.ts';
import { faultRecords } from '../support/fault-records.ts';
import { runGatewayTrial, type GatewayTrial } from '../support/gateway-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import type { WireFaults } from '../support/proxy.ts';
import { faultSeeds } from '../support/seeds.ts';
import { until } from '../support/until.ts';

/** 20 with `npm run test:faults`. */
const KILLS = Number(process.env.FAULT_KILLS ?? 2);
/** How long Kafka stays away at each moment; two minutes with `npm run test:faults`. */
const AWAY_SECONDS = Number(process.env.FAULT_AWAY_SECONDS ?? 0);
/** The disk takes at least so many messages meanwhile. */
const AWAY_MESSAGES = 200;
/** Before a kill the gateway runs for so many more messages than it does at the least. */
const LIFE_MESSAGES = faultRecords(1_000) / KILLS;
/** Before it is ever seen, and each of {@link MOMENTS}. */
const OUTAGES = 5;
/** Messages a second, so that all of them together are about FAULT_RECORDS. */
const AWAY_RATE = AWAY_SECONDS === 0 ? undefined : Math.ceil(faultRecords(0) / (OUTAGES * AWAY_SECONDS));
const AWAY_TIMEOUT_MS = 600_000 + 2 * OUTAGES * AWAY_SECONDS * 1_000;

let kafka: TestKafka;

beforeAll(async () => {
  kafka = await startKafka();
});

afterAll(async () => {
  await kafka.stop();
});

const inJournal = ({ gateway }: GatewayTrial): Promise<number> =>
  gateway.metric('sluice_deliveries_open_in_journal');

/** Kafka is gone, and devices of the contracts with a disk go on. */
async function away(trial: GatewayTrial): Promise<void> {
  trial.takeKafkaAway();
  await trial.untilAcknowledged(AWAY_MESSAGES, 'the disk to acknowledge without Kafka');
}

/** The same, for as long as the run is meant to have it. */
async function longAway(trial: GatewayTrial): Promise<void> {
  const backAtMs = systemClock.monotonicMs() + AWAY_SECONDS * 1_000;
  await away(trial);
  await until(() => systemClock.monotonicMs() >= backAtMs, {
    timeoutMs: AWAY_TIMEOUT_MS,
    what: 'the end of an outage',
  });
}

interface Moment {
  readonly name: string;
  /** Returns with Kafka away. */
  readonly happen: (trial: GatewayTrial, answers: Answers) => Promise<void>;
}

/** Loses the next answer that says what Kafka has taken. */
class Answers implements WireFaults {
  #losesNext = false;

  readonly losesResponse = (): boolean => {
    const loses = this.#losesNext;
    this.#losesNext = false;
    return loses;
  };

  async loseNext(): Promise<void> {
    this.#losesNext = true;
    await until(() => !this.#losesNext, { timeoutMs: 60_000, what: 'an answer that can be lost' });
  }
}

const MOMENTS: readonly Moment[] = [
  {
    name: 'appended, and not sent',
    async happen(trial) {
      // Requests are written, and never arrive.
      trial.kafkaWire.setState({ kind: 'held' });
      await until(async () => (await trial.gateway.metric('sluice_deliveries_open')) > 0, {
        timeoutMs: 60_000,
        what: 'records in the accumulator',
      });
      await longAway(trial);
    },
  },
  {
    name: 'sent, and not answered',
    async happen(trial, answers) {
      await answers.loseNext();
      await longAway(trial);
    },
  },
  {
    name: 'spilling',
    async happen(trial) {
      await away(trial);
      await until(async () => (await inJournal(trial)) > 0, {
        timeoutMs: 60_000,
        what: 'records on the disk',
      });
      // Back for a moment, in which nothing has been read back yet, or something.
      trial.bringKafkaBack();
      await longAway(trial);
    },
  },
  {
    name: 'draining',
    async happen(trial) {
      await away(trial);
      const backlog = await inJournal(trial);
      trial.bringKafkaBack();
      await until(async () => (await inJournal(trial)) < backlog, {
        timeoutMs: 120_000,
        what: 'the journal to be read back',
      });
      await longAway(trial);
    },
  },
];

const LASTS = AWAY_SECONDS === 0 ? '' : `for ${AWAY_SECONDS} seconds each time, `;

describe('a gateway whose Kafka goes away, each contract', () => {
  it.each(faultSeeds())(
    `${LASTS}before it is ever seen, with records appended, sent, spilled or being drained: nothing is lost, repeated or turned around, seed %i`,
    async (seed) => {
      const answers = new Answers();
      const options = {
        topic: `away-${seed}`,
        seed,
        wireFaults: answers,
        startsWithoutKafka: true,
        ...(AWAY_RATE !== undefined && { rate: AWAY_RATE }),
      };
      await runGatewayTrial(kafka, options, async (trial) => {
        await longAway(trial);
        trial.bringKafkaBack();
        await trial.gateway.untilReady();
        for (const { happen } of trial.random.shuffled(MOMENTS)) {
          await happen(trial, answers);
          trial.bringKafkaBack();
          await trial.untilSettled('what was on its way when Kafka went');
        }
        expect(Math.max(...trial.devices.lostConnections)).toBe(0);
      });
    },
    AWAY_TIMEOUT_MS,
  );
});

/** Another on its journal is refused, and told who has it. */
async function intrude(trial: GatewayTrial): Promise<void> {
  const { pid } = trial.gateway;
  const { exit, output } = await trial.startIntruder();
  expect(exit, output).toBe(1);
  expect(output).toContain(`is in use by process ${pid} on`);
}

async function startRivals(trial: GatewayTrial): Promise<void> {
  const { exit, output } = await trial.startRivals();
  expect(exit, output).toBe(1);
  expect(output).toContain('is in use by');
}

describe('a gateway that is killed with kill -9 under load, each contract', () => {
  it.each(faultSeeds())(
    `${KILLS} times, with Kafka there and away, and with others started on its journal: nothing is lost or turned around, copies stay within the bound, seed %i`,
    async (seed) => {
      await runGatewayTrial(kafka, { topic: `killed-${seed}`, seed }, async (trial) => {
        for (let kill = 1; kill <= KILLS; kill++) {
          // Every other time the disk has what Kafka has not.
          if (kill % 2 === 0) trial.takeKafkaAway();
          if (kill % 4 === 1) await intrude(trial);
          await trial.untilAcknowledged(trial.random.between(50, 50 + LIFE_MESSAGES));
          await trial.killGateway();
          trial.bringKafkaBack();
          // Two at the same moment, of which one goes on.
          if (kill % 4 === 2) await startRivals(trial);
          else await trial.startGateway();
        }
        await trial.untilSettled('what was on its way at the last kill');
      });
    },
  );
});
