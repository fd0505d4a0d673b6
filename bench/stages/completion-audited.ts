import { AuditLog } from '../../src/features/audit/audit-log.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { completion } from './completion.ts';

const nothing = (): Promise<never> => new Promise(() => {});
const directory = {
  path: 'nowhere',
  prepare: nothing,
  lock: nothing,
  unlock: () => {},
  list: nothing,
  read: nothing,
  create: nothing,
  rename: nothing,
  remove: nothing,
};
const clock = { wallMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };

/** The same with an audit log, up to the buffer that goes to the disk. */
export const stage = completion('completion-audited', () => {
  const log = new AuditLog({
    directory,
    maxBytes: 1e9,
    segmentBytes: 1e8,
    bufferBytes: 1_048_576,
    syncIntervalMs: 1_000,
    clock,
    logger: silentLogger,
  });
  return (result, index) => {
    log.add(result, index);
  };
});
