import { expect, it } from 'vitest';
import { NO_HEADERS } from '../../../src/core/record.ts';
import type { RecordTarget } from '../../../src/delivery/ports.ts';
import { AuditedSink } from '../../../src/features/audit/audit-trail.ts';

it('an audited producer tells whose record it still holds, so that the audit log hides none from the journal', () => {
  const held: RecordTarget[] = [];
  const sink = new AuditedSink(
    {
      tryAppend: (_record, target) => {
        held.push(target);
        return undefined;
      },
    },
    () => {},
  );
  const owner: RecordTarget = { recordCompleted() {} };
  const record = { topic: 't', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
  sink.tryAppend(record, owner, 1);
  expect(held[0]).not.toBe(owner);
  expect(sink.ownerOf(held[0]!)).toBe(owner);
});
