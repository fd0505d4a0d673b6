import type { Topic } from '../../src/core/publication.ts';
import { RouteCache } from '../../src/route/route-cache.ts';
import { messages, withBlueprint } from './fleet.ts';
import type { Stage } from './stage.ts';

/** Finds what a topic that was seen before leads to. */
export const stage: Stage = {
  name: 'route',
  prepare() {
    const topics = messages().map<Topic>(({ topic }, id) => ({ name: topic, id }));
    const cache = withBlueprint(
      ({ routes }) =>
        new RouteCache((topic) => routes.match(topic.name).map(({ captures }) => captures.size)),
    );
    return {
      messages: topics.length,
      run() {
        let sum = 0;
        for (const topic of topics) sum += cache.resolve(topic).length;
        return sum;
      },
    };
  },
};
