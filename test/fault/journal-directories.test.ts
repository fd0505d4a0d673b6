import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { FaultyDisk, noMounts, SmallDisk } from '../support/disk-faults.ts';
import { runGatewayTrial, type GatewayTrial } from '../support/gateway-trial.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { faultSeeds } from '../support/seeds.ts';
import { until } from '../support/until.ts';

const isLarge = process.env.FAULT_RECORDS !== undefined;
const DIRECTORIES = ['first', 'second'] as const;
/** Acknowledged in each state of the disks, if anybody can be. */
const MESSAGES = 1_000;

/**
 * Which disks are away, one state after the other. While the preferred one is away, the other one is written to, so that
 * in the last story what lies on either of them is out of reach for a while.
 */
const STORIES: readonly (readonly (readonly number[])[])[] = [
  [[0], []],
  [[1], []],
  [[0, 1], []],
  [[1], [0, 1], [0], []],
  [[0], [1], []],
];

let kafka: TestKafka;

beforeAll(async () => {
  kafka = await startKafka();
});

afterAll(async () => {
  await kafka.stop();
});

/** Two disks of a gateway's own, which can be pulled out: open files can't be synced, and the paths lead elsewhere. */
class TwoDisks {
  readonly #folders: readonly string[];
  readonly #disks: readonly SmallDisk[];
  readonly #syncs: FaultyDisk;
  #away: readonly number[] = [];

  constructor(folder: string) {
    this.#folders = DIRECTORIES.map((name) => join(folder, name));
    this.#disks = this.#folders.map((directory) => new SmallDisk(directory, 256 << 20));
    this.#syncs = new FaultyDisk(folder);
  }

  get launch() {
    return { ...this.#syncs.launch, ...SmallDisk.launchAll(this.#disks) };
  }

  /** These are away from now on, and the others are not. */
  set(away: readonly number[], pid: number): void {
    for (const [index, disk] of this.#disks.entries()) {
      const was = this.#away.includes(index);
      const is = away.includes(index);
      if (was && !is) {
        // Nothing was written where the disk should have been.
        expect(disk.list(pid)).toEqual([]);
        disk.uncover(pid);
      }
      if (!was && is) disk.unplug(pid);
    }
    this.#away = away;
    if (away.length > 0) this.#syncs.fail(...away.map((index) => this.#folders[index]!));
    else this.#syncs.heal();
  }
}

async function untilJournal(
  { gateway }: GatewayTrial,
  what: string,
  isSo: (condition: { ready: boolean; reason: string }) => boolean,
): Promise<void> {
  await until(
    async () => isSo((await gateway.readiness()).conditions.find(({ name }) => name === 'journal')!),
    { timeoutMs: 120_000, what },
  );
}

describe.skipIf(!isLarge || noMounts !== undefined)(
  `a journal in two directories whose disks are unplugged and plugged in again under load${noMounts === undefined ? '' : ` (${noMounts})`}`,
  () => {
    it.each(faultSeeds())(
      'loses, repeats and turns around nothing, writes nothing where a disk was, and heals by itself, seed %i',
      { timeout: 600_000 },
      async (seed) => {
        let disks: TwoDisks | undefined;
        const topic = `unplugged-${seed}`;
        const options = {
          topic,
          seed,
          rate: 1_500,
          journal: `directories: [${DIRECTORIES.join(', ')}], segment.bytes: 65536, segment.max.age.ms: 1000, stalled.after.ms: 5000, buffer.bytes: 1048576`,
          launch: (folder: string) => (disks ??= new TwoDisks(folder)).launch,
        };
        await runGatewayTrial(kafka, options, async (trial) => {
          for (const story of trial.random.shuffled(STORIES)) {
            // What was stored before is on disks that go away, and Kafka comes back while they are, or after it.
            trial.takeKafkaAway();
            let isKafkaAway = true;
            await trial.untilAcknowledged(MESSAGES, 'the disk to acknowledge without Kafka');
            const backAt = trial.random.between(0, story.length - 1);
            for (const [step, away] of story.entries()) {
              disks!.set(away, trial.gateway.pid);
              if (step === backAt) {
                trial.bringKafkaBack();
                isKafkaAway = false;
              }
              const noneIsThere = away.length === DIRECTORIES.length;
              if (noneIsThere) await untilJournal(trial, 'a journal that waits', ({ ready }) => !ready);
              else if (away.length > 0) {
                await untilJournal(
                  trial,
                  'a journal that says which disk is missing',
                  ({ ready, reason }) =>
                    ready && away.every((index) => reason.includes(`/${DIRECTORIES[index]!}: `)),
                );
              }
              if (!noneIsThere || !isKafkaAway) await trial.untilAcknowledged(MESSAGES);
            }
            await trial.untilSettled('everything to be acknowledged once the disks are back');
            // Nothing is wrong with either of them, and nothing was lost on them.
            await untilJournal(
              trial,
              'a journal that has recovered',
              ({ ready, reason }) => ready && /^\d+ records wait for Kafka$/.test(reason),
            );
          }
        });
      },
    );
  },
);
