import { describeFault } from '../config/faults.ts';
import { loadConfig } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import { SluiceError } from '../core/errors.ts';

/**
 * The configuration for a command that only makes use of it.
 * @throws {SluiceError} `CONFIG_INVALID` with every fault on a line.
 */
export function usableConfig(file: string | undefined): LoadedConfig {
  const loaded = loadConfig(file, process.env);
  if (loaded.faults.length === 0) return loaded;
  const lines = loaded.faults.map((fault) => `  ${describeFault(fault)}`);
  throw new SluiceError('CONFIG_INVALID', `the configuration has faults:\n${lines.join('\n')}`);
}
