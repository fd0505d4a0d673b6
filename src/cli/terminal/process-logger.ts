import pino from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../../core/logger.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
export type LogFormat = 'auto' | 'json' | 'pretty';

/**
 * The process's logger, on standard error, so that standard output stays what the command says. `auto` is
 * pretty on a terminal and one JSON object a line elsewhere.
 */
export function processLogger(level: LogLevel, format: LogFormat): Logger {
  const isPretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
  const destination = isPretty
    ? pretty({ destination: 2, sync: true, ignore: 'pid,hostname,name', colorize: process.stderr.isTTY })
    : pino.destination({ dest: 2, sync: false });
  return pino({ name: 'sluice', level }, destination);
}
