import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../../src/mqtt/limits.ts';
import { KeptState } from '../../../src/mqtt/sessions/kept-state.ts';
import { openStore } from '../../../src/mqtt/sessions/store/open-store.ts';
import { encodeRecord } from '../../../src/mqtt/sessions/store/store-record.ts';
import { IngressStats } from '../../../src/mqtt/stats.ts';
import { RecordingLogger, TestClock } from '../harness.ts';
import { MemoryDirectory } from '../../durable-log/memory-directory.ts';

/*
 * data-0.1.0/ is a session store that version 0.1.0 left behind, made with its own sources by a script: a snapshot with
 * a session, a message and a retained message of a former life; then sessions, subscriptions, queued, sent, received and
 * removed messages, QoS 2 identifiers taken and released, an abandoned command, retained messages, one of them taken
 * back; and at its end a write of which the last 30 bytes are missing, as a crash leaves it. expected.json has what
 * 0.1.0 kept at that time, as the records of a snapshot.
 */
const folder = join(import.meta.dirname, 'data-0.1.0');

it('a session store that version 0.1.0 wrote is read completely, and goes on', async () => {
  const directory = new MemoryDirectory();
  for (const name of readdirSync(folder)) {
    if (name !== 'expected.json') directory.put(name, readFileSync(join(folder, name)));
  }
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as string[];
  for (const life of ['first', 'second', 'third']) {
    const state = new KeptState(DEFAULT_LIMITS, new IngressStats());
    const logger = new RecordingLogger();
    const store = await openStore({ directory, state, clock: new TestClock(), logger });
    const kept = [...state.snapshot()].flat().map((record) => encodeRecord(record).toString('base64'));
    expect(kept, `in the ${life} life`).toEqual(expected);
    // The torn end was promised to nobody: a warning, and no damage.
    expect(logger.lines.map(({ level }) => level)).toEqual(life === 'first' ? ['warn'] : []);
    await store.close(new Promise(() => {}));
  }
});
