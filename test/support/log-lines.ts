import type { Logger } from '../../src/core/logger.ts';

/** A logger that keeps everything, as text, for a test that looks for what should or should not be there. */
export class LogLines implements Logger {
  readonly lines: string[] = [];

  #keep(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields, (_, value: unknown) => errorText(value))}`);
  }

  debug(fields: object, message: string): void {
    this.#keep('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#keep('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#keep('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#keep('error', fields, message);
  }

  child(): Logger {
    return this;
  }

  get text(): string {
    return this.lines.join('\n');
  }
}

function errorText(value: unknown): unknown {
  return value instanceof Error ? `${value.stack ?? ''} ${JSON.stringify(value)}` : value;
}
