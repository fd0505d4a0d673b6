/** Running totals since the start. Plain numbers: counting must not cost the hot path anything. */
export class JournalStats {
  /** Records made durable, and the bytes of their frames. */
  journaledRecords = 0;
  journaledBytes = 0;
  /** Records that are done: acknowledged by whoever sent them on. */
  acknowledgedRecords = 0;
  commits = 0;
  syncs = 0;
  /** Commits that no directory took, and that were tried again. */
  commitFaults = 0;
  /** Records that damage took. */
  lostRecords = 0;
  damages = 0;
  compactions = 0;
  /** By policy, by Kafka topic and account. */
  readonly dropped = new Map<string, { readonly topic: string; readonly account: string; records: number }>();

  drop(topic: string, account: string, records: number): void {
    const key = `${topic}\0${account}`;
    const entry = this.dropped.get(key);
    if (entry === undefined) this.dropped.set(key, { topic, account, records });
    else entry.records += records;
  }

  get droppedRecords(): number {
    let records = 0;
    for (const entry of this.dropped.values()) records += entry.records;
    return records;
  }
}
