import { NO_HEADERS } from '../../src/core/record.ts';
import type { SerializedRecord } from '../../src/core/record.ts';
import type { Publication } from '../../src/core/publication.ts';
import { messages, withBlueprint } from './fleet.ts';
import type { Stage } from './stage.ts';

const RECEIVED_AT_MS = Date.UTC(2026, 0, 1, 1);

/** Turns payloads into records. */
export function transcodeStage(name: string, value: 'normalised' | 'raw'): Stage {
  return {
    name,
    prepare() {
      const table = withBlueprint(({ routes }) => routes, value);
      const all = messages().map(({ topic, payload }, id) => {
        const [match] = table.match(topic);
        if (match === undefined) throw new Error(`no route for ${topic}`);
        const publication: Publication = {
          topic: { name: topic, id },
          payload,
          qos: 1,
          retain: false,
          dup: false,
          packetId: 1,
          clientId: 'bench',
          receivedAtMs: RECEIVED_AT_MS,
        };
        return { publication, route: match.target.bind(match.captures, topic) };
      });
      const record: SerializedRecord = {
        topic: '',
        key: null,
        value: null,
        timestampMs: 0,
        headers: NO_HEADERS,
      };
      return {
        messages: all.length,
        run() {
          let sum = 0;
          for (const { publication, route } of all) {
            const fault = route.toRecord(publication, record);
            if (fault !== undefined) throw new Error(fault.message);
            sum += record.value?.length ?? 0;
          }
          return sum;
        },
      };
    },
  };
}
