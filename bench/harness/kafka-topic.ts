import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '../../src/core/logger.ts';
import { createAdmin } from '../../src/kafka/clients/kafkajs.ts';
import type { Admin } from '../../src/kafka/clients/kafkajs.ts';

const LOOK_EVERY_MS = 10;
/** A bridge that writes nothing for so long has stopped. */
const STALL_MS = 20_000;

/** A topic of one run: made for it, counted, and removed again. */
export class BenchTopic {
  readonly name: string;
  readonly #admin: Admin;

  static async create(bootstrapServers: string, name: string, partitions: number): Promise<BenchTopic> {
    const admin = createAdmin({
      bootstrapServers: bootstrapServers.split(','),
      clientId: 'sluice-bench',
      logger: silentLogger,
    });
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: name, numPartitions: partitions }], waitForLeaders: false });
    const topic = new BenchTopic(admin, name);
    // Until its broker has its partitions.
    await topic.records();
    return topic;
  }

  private constructor(admin: Admin, name: string) {
    this.#admin = admin;
    this.name = name;
  }

  /** How many records it holds: each partition begins at 0, and nothing is removed during a run. */
  async records(): Promise<number> {
    const deadlineMs = performance.now() + STALL_MS;
    for (;;) {
      try {
        const offsets = await this.#admin.fetchTopicOffsets(this.name);
        return offsets.reduce((sum, { high }) => sum + Number(high), 0);
      } catch (error) {
        // A broker that has just made its partitions, or that hung, leads none of them for a moment.
        if (performance.now() > deadlineMs) throw error;
        await delay(LOOK_EVERY_MS);
      }
    }
  }

  /** Waits until it holds at least `count` records, or until nothing has arrived for a while; what it holds. */
  async filled(count: number): Promise<number> {
    let seen = -1;
    let seenAtMs = performance.now();
    for (;;) {
      const now = await this.records();
      if (now >= count) return now;
      if (now > seen) {
        seen = now;
        seenAtMs = performance.now();
      } else if (performance.now() - seenAtMs > STALL_MS) return now;
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Bytes of its record batches as the broker has them on its disk: what came over the wire. */
  bytes(dataFolder: string): number {
    const segments = globSync(`${this.name}-*/*.log`, { cwd: dataFolder });
    return segments.reduce((sum, file) => sum + statSync(join(dataFolder, file)).size, 0);
  }

  async remove(): Promise<void> {
    await this.#admin.deleteTopics({ topics: [this.name] });
    await this.#admin.disconnect();
  }
}
