import { messages, withBlueprint } from './fleet.ts';
import type { Stage } from './stage.ts';

/** Matches a topic that was not seen before. */
export const stage: Stage = {
  name: 'route, new topic',
  prepare() {
    const names = messages().map(({ topic }) => topic);
    const table = withBlueprint(({ routes }) => routes);
    return {
      messages: names.length,
      run() {
        let sum = 0;
        for (const name of names) sum += table.match(name).length;
        return sum;
      },
    };
  },
};
