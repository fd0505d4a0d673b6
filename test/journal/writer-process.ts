/**
 * A process that journals as fast as it can and prints what it was told is durable: `number position` a line.
 * Run by processes.test.ts, which kills it. Arguments: the directory, the first number.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { Journal } from '../../src/journal/journal.ts';
import { numbered } from './rig.ts';

const [directory = '', first = '0'] = process.argv.slice(2);
try {
  const journal = await Journal.open({
    settings: { directories: [directory], segmentBytes: 256 << 10, maxBytes: 256 << 20 },
    clock: systemClock,
    logger: silentLogger,
  });
  writeSync(1, 'open\n');
  let lines = '';
  const target = {
    recordJournaled(token: number, position: number) {
      lines += `${token} ${position}\n`;
    },
  };
  let next = Number(first);
  const turn = (): void => {
    for (let count = 0; count < 50; count++) {
      const { record, meta } = numbered(next, 50);
      if (journal.append(record, meta, target, next) === undefined) next++;
    }
    // The device's PUBACK: from here on the record must not be lost.
    if (lines !== '') writeSync(1, lines);
    lines = '';
    setTimeout(turn, 1);
  };
  turn();
} catch (error) {
  writeSync(1, `refused ${(error as { code?: string }).code ?? ''} ${(error as Error).message}\n`);
}
