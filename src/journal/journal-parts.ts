import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { DiskPort, DiskState } from './disk/disk-port.ts';
import type { JournalStats } from './figures.ts';
import type { SegmentBook } from './room/segment-book.ts';
import type { ResolvedSettings } from './settings.ts';

/** What the parts of a journal share. */
export interface JournalParts {
  readonly disk: DiskPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: ResolvedSettings;
  readonly stats: JournalStats;
  readonly book: SegmentBook;
  /** Takes over what an answer of the disk says. */
  readonly onState: (state: DiskState) => void;
}
