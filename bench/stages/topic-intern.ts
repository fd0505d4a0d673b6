import { TopicTable } from '../../src/mqtt/topics/topic-table.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

/** Finds the Topic object of a topic's bytes. */
export const stage: Stage = {
  name: 'topic intern',
  prepare() {
    const names = messages().map(({ topic }) => Buffer.from(topic));
    const table = new TopicTable(100_000, 12345);
    return {
      messages: names.length,
      run() {
        let sum = 0;
        for (const name of names) sum += table.intern(name, 0, name.length)?.id ?? -1;
        return sum;
      },
    };
  },
};
