import { NO_HEADERS } from '../../src/core/record.ts';
import { PendingChunk } from '../../src/journal/commit-loop.ts';
import type { JournalTarget } from '../../src/journal/commit-loop.ts';
import { GroupWriter } from '../../src/durable-log/frame.ts';
import { CHUNK_BYTES } from '../../src/journal/settings.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

/** More than a message of the fleet takes in the journal. */
const MOST_RECORD_BYTES = 512;
const nobody: JournalTarget = { recordJournaled: () => {} };

/** Writes records into a chunk and seals it as one group: all that the journal does except the disk. */
export const stage: Stage = {
  name: 'journal append',
  prepare() {
    const meta = {
      account: 'field-sensor',
      clientId: 'load-1',
      packetId: 1,
      qos: 1 as const,
      publicationNumber: 0,
    };
    const records = messages()
      .slice(0, Math.floor(CHUNK_BYTES / MOST_RECORD_BYTES))
      .map(({ topic, payload }, i) => ({
        topic: 'telemetry',
        key: Buffer.from(topic.split('/')[2] ?? topic),
        value: payload,
        timestampMs: i,
        headers: NO_HEADERS,
      }));
    const chunk = new PendingChunk(CHUNK_BYTES);
    const bytes = Buffer.from(chunk.memory);
    const writer = new GroupWriter({ crcSeed: 1, mark: Buffer.alloc(8) }, undefined);
    return {
      messages: records.length,
      run() {
        chunk.clear();
        for (const [i, record] of records.entries()) chunk.append(record, meta, nobody, i);
        const group = { bytes: chunk.bytes, records: chunk.records, firstNumber: 0 };
        return writer.encode(bytes, group, 0, 0).length;
      },
    };
  },
};
