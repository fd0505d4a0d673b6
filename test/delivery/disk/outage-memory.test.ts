import { setFlagsFromString, getHeapStatistics } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { GatedSink, StoreRig } from '../store-rig.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const RECORDS = 25_000;
/** Far less than the smallest thing that could be kept of a record, and far more than what a heap does by itself. */
const BYTES_A_RECORD = 16;

/** What is alive, and not what waits to be collected. */
function heapBytes(): number {
  collectGarbage();
  return getHeapStatistics().used_heap_size;
}

it('an outage takes no memory for each record that the disk has: as much after 100,000 as after 25,000', async () => {
  const sink = new GatedSink();
  // One partition that takes nothing and one that holds a few; and a topic of which nothing is known.
  sink.shut.add('t-1').add('unknown');
  sink.capacity = 100;
  const settings = { segmentBytes: 1 << 20, maxBytes: 1 << 30 };
  const rig = await StoreRig.open({ sink, settings });
  let sent = 0;
  const sendUntil = async (total: number): Promise<void> => {
    while (sent < total) {
      const [key, topic] = sent % 2 === 0 ? ['d1', 't'] : sent % 4 === 1 ? ['d2', 't'] : ['d3', 'unknown'];
      if (rig.send(sent, key, topic)) sent++;
      else await until(() => !rig.waits, { everyMs: 1, what: 'room in the memory of the journal' });
      if (sent % 1_000 === 0) {
        await rig.journal.flush();
        await until(() => rig.journal.backlog.pendingRecords === 0, { everyMs: 1, what: 'the disk' });
        // The test's own memory of it.
        rig.outcomes.clear();
        rig.fs.log.length = 0;
      }
    }
  };
  try {
    // The first half of it warms up what is compiled and cached.
    await sendUntil(RECORDS);
    const before = heapBytes();
    await sendUntil(4 * RECORDS);
    const grown = heapBytes() - before;
    expect(rig.journal.backlog.openRecords).toBe(4 * RECORDS);
    expect(rig.ledger.total()).toMatchObject({ opened: 4 * RECORDS, acknowledged: 4 * RECORDS });
    expect(grown).toBeLessThan(3 * RECORDS * BYTES_A_RECORD);
  } finally {
    await rig.close();
  }
});
