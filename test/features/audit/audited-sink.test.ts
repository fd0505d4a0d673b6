import { expect, it } from 'vitest';
import { NO_HEADERS } from '../../../src/core/record.ts';
import type { AuditedResult } from '../../../src/features/audit/audit-log.ts';
import { AuditedSink, type CompletionTarget } from '../../../src/features/audit/audit-trail.ts';

type Result = AuditedResult & { readonly error: unknown };

it('tells whose record it is that the producer still holds: an audit log does not hide it from the journal', () => {
  const held: CompletionTarget<Result>[] = [];
  const sink = new AuditedSink<Result, never>(
    {
      tryAppend: (_record, target) => {
        held.push(target);
        return undefined;
      },
    },
    () => {},
  );
  const owner: CompletionTarget<Result> = { recordCompleted() {} };
  const record = { topic: 't', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
  sink.tryAppend(record, owner, 1);
  expect(held[0]).not.toBe(owner);
  expect(sink.ownerOf(held[0]!)).toBe(owner);
});
