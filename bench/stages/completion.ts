import type { AuditedResult } from '../../src/features/audit/audit-log.ts';
import { emptyBatch, fill } from './append.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

/** The records of an acknowledged batch hear of it. `note` is what the audit log would do, where there is one. */
export function completion(name: string, note?: () => (result: AuditedResult, index: number) => void): Stage {
  return {
    name,
    prepare() {
      let told = 0;
      let noteOne: ((result: AuditedResult, index: number) => void) | undefined;
      const target = {
        recordCompleted(token: number, result: AuditedResult, index: number): void {
          told += token;
          noteOne?.(result, index);
        },
      };
      const batch = emptyBatch();
      const count = fill(batch, messages(), target);
      batch.finish({ baseOffset: 1_000_000n, logAppendTimeMs: -1, error: undefined });
      return {
        messages: count,
        run() {
          told = 0;
          noteOne = note?.();
          batch.notify(() => {});
          return told;
        },
      };
    },
  };
}

export const stage = completion('completion');
