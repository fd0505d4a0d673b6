import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { faultRecords } from '../support/fault-records.ts';
import { runGatewayTrial, type GatewayTrial } from '../support/gateway-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import type { WireFaults } from '../support/proxy.ts';
import { faultSeeds } from '../support/seeds.ts';
import { until } from '../support/until.ts';

const isLarge = process.env.FAULT_RECORDS !== undefined;
const KILLS = isLarge ? 20 : 2;
/** Kafka stays away for so many messages that the disk takes: minutes with `npm run test:faults`. */
const AWAY_MESSAGES = Math.ceil(faultRecords(800) / 4);

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
  trial.kafkaWire.setState({ kind: 'refused' });
  await trial.untilAcknowledged(AWAY_MESSAGES, 'the disk to acknowledge without Kafka');
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
      await away(trial);
    },
  },
  {
    name: 'sent, and not answered',
    async happen(trial, answers) {
      await answers.loseNext();
      await away(trial);
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
      trial.kafkaWire.setState({ kind: 'open' });
      await away(trial);
    },
  },
  {
    name: 'draining',
    async happen(trial) {
      await away(trial);
      const backlog = await inJournal(trial);
      trial.kafkaWire.setState({ kind: 'open' });
      await until(async () => (await inJournal(trial)) < backlog, {
        timeoutMs: 120_000,
        what: 'the journal to be read back',
      });
      await away(trial);
    },
  },
];

describe('a gateway whose Kafka goes away, each contract', () => {
  it.each(faultSeeds())(
    'before it is ever seen, with records appended, sent, spilled or being drained: nothing is lost, repeated or turned around, seed %i',
    async (seed) => {
      const answers = new Answers();
      const options = { topic: `away-${seed}`, seed, wireFaults: answers, startsWithoutKafka: true };
      await runGatewayTrial(kafka, options, async (trial) => {
        await away(trial);
        trial.kafkaWire.setState({ kind: 'open' });
        await trial.gateway.untilReady();
        for (const { happen } of trial.random.shuffled(MOMENTS)) {
          await happen(trial, answers);
          trial.kafkaWire.setState({ kind: 'open' });
          await trial.untilSettled('what was on its way when Kafka went');
        }
        expect(Math.max(...trial.devices.lostConnections)).toBe(0);
      });
    },
  );
});

describe('a gateway that is killed with kill -9 under load, each contract', () => {
  it.each(faultSeeds())(
    `${KILLS} times, with Kafka there and away: nothing is lost or turned around, copies stay within the bound, seed %i`,
    async (seed) => {
      await runGatewayTrial(kafka, { topic: `killed-${seed}`, seed }, async (trial) => {
        for (let kill = 1; kill <= KILLS; kill++) {
          // Every other time the disk has what Kafka has not.
          if (kill % 2 === 0) trial.kafkaWire.setState({ kind: 'refused' });
          await trial.untilAcknowledged(trial.random.between(50, 600));
          await trial.killGateway();
          trial.kafkaWire.setState({ kind: 'open' });
          await trial.startGateway();
        }
        await trial.untilSettled('what was on its way at the last kill');
      });
    },
  );
});
