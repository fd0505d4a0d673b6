import type { Logger } from '../../core/logger.ts';

/** What a producer has to say when it is given no logger: warnings and errors, a line each, on stderr. */
export function stderrLogger(write: (line: string) => void = (line) => process.stderr.write(line)): Logger {
  const line = (level: string) => (fields: object, message: string) => {
    write(`sluice/producer ${level}: ${message} ${JSON.stringify(fields)}\n`);
  };
  const logger: Logger = {
    debug() {},
    info() {},
    warn: line('warning'),
    error: line('error'),
    child: () => logger,
  };
  return logger;
}
