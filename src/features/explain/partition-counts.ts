import { systemClock, within } from '../../core/clock.ts';
import { silentLogger } from '../../core/logger.ts';
import { withAdmin } from '../../kafka/clients/admin-client.ts';
import type { ClientSecurity } from '../../kafka/security/security.ts';
import { partitionForKey } from '../../producer/cluster/partitioner.ts';

/** What is known of topics' partitions. */
export interface PartitionCounts {
  /** By topic, as Kafka has them; undefined: Kafka was not asked, or did not answer. */
  readonly found: ReadonlyMap<string, number> | undefined;
  /** Of topics that are yet to be created. */
  readonly configured: number;
  /** The producer's `partitioner.ignore.keys`. */
  readonly ignoreKeys: boolean;
}

/** Where a record with this key goes. */
interface PartitionChoice {
  /** undefined: any. */
  readonly partition: number | undefined;
  readonly of: number;
  /** `configured`: the topic isn't there, or Kafka wasn't asked. */
  readonly by: 'kafka' | 'configured';
}

export function partitionOf(topic: string, key: Buffer | null, counts: PartitionCounts): PartitionChoice {
  const there = counts.found?.get(topic);
  const of = there ?? counts.configured;
  return {
    partition: key === null || counts.ignoreKeys ? undefined : partitionForKey(key, of),
    of,
    by: there === undefined ? 'configured' : 'kafka',
  };
}

/** Nobody waits longer for an explanation. */
const PATIENCE_MS = 3_000;

/** How many partitions these topics have; undefined: no broker answers in time. Those that don't exist are left out. */
export async function partitionCounts(where: {
  readonly bootstrapServers: readonly string[];
  readonly security: ClientSecurity;
  readonly topics: readonly string[];
}): Promise<ReadonlyMap<string, number> | undefined> {
  const { topics, ...client } = where;
  const patience = { retries: 0, timeoutMs: PATIENCE_MS };
  let counts: ReadonlyMap<string, number> | undefined;
  const names = { clientId: 'sluice-explain', logger: silentLogger };
  const asked = withAdmin({ ...client, ...names, ...patience }, async (admin) => {
    const existing = new Set(await admin.listTopics());
    const wanted = topics.filter((topic) => existing.has(topic));
    const found = wanted.length === 0 ? [] : await admin.describeTopics(wanted);
    counts = new Map(found.map(({ topic, partitions }) => [topic, partitions]));
  });
  await within(systemClock, PATIENCE_MS, asked);
  return counts;
}
