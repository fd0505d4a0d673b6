import { Explainer } from '../../../src/features/explain/explain.ts';
import { Rehearsal } from '../../../src/features/explain/rehearsal.ts';
import type { CapturedMessage } from '../../../src/features/capture/captured-message.ts';
import { ConfigFolder } from '../../config/files.ts';

/** When the messages of these tests are received. */
export const NOW = Date.parse('2026-01-01T12:00:00Z');

/** A configuration in a temporary folder, to be rehearsed. */
export class RehearsalFolder extends ConfigFolder {
  /** Writes sluice.yaml, and profiles by their types. */
  configure(profiles: Readonly<Record<string, string>>, config = 'unrouted: local\n'): string {
    for (const [type, text] of Object.entries(profiles)) {
      this.write(`devices/${type}.yaml`, `type: ${type}\n${text.trim()}\n`);
    }
    return this.write('sluice.yaml', config);
  }

  explainer(file: string): Explainer {
    return new Explainer(file, {});
  }

  rehearsal(file: string): Rehearsal {
    return new Rehearsal(file, {});
  }
}

/** A message; an object is sent as JSON. */
export function messageOf(
  topic: string,
  payload: unknown,
  rest: Partial<CapturedMessage> = {},
): CapturedMessage {
  return {
    topic,
    payload: Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload)),
    qos: 1,
    retain: false,
    dup: false,
    clientId: 'client-1',
    receivedAtMs: NOW,
    ...rest,
  };
}
