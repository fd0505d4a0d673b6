import { describeFault } from '../config/faults.ts';
import { loadConfig } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import { SluiceError } from '../core/errors.ts';
import type { ConfigFault } from '../core/fault.ts';

/**
 * The configuration for a command that only makes use of it.
 * @throws {SluiceError} `CONFIG_INVALID` with every fault on a line.
 */
export function usableConfig(file: string | undefined): LoadedConfig {
  const loaded = loadConfig(file, process.env);
  refuseFaults(loaded.faults);
  return loaded;
}

/** @throws {SluiceError} `CONFIG_INVALID` with every fault on a line, if there is one. */
export function refuseFaults(faults: readonly ConfigFault[]): void {
  if (faults.length === 0) return;
  const lines = faults.map((fault) => `  ${describeFault(fault)}`);
  throw new SluiceError('CONFIG_INVALID', `the configuration has faults:\n${lines.join('\n')}`);
}
